"""Roles, and the permissions that each is a name for.

What the console and the routes for staff do is done by permission; `admin` holds every one, `user` none. Nobody gives a role
that holds more than their own, nor touches an account whose role does.
"""

from enum import StrEnum


class Permission(StrEnum):
    """One thing that staff may do to what is not theirs."""

    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    USERS_FACTORS = "users:factors"
    USERS_ROLES = "users:roles"
    USERS_DELETE = "users:delete"
    USERS_IMPERSONATE = "users:impersonate"
    AUDIT_READ = "audit:read"
    STATS_READ = "stats:read"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    SETTINGS_READ = "settings:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


class Role(StrEnum):
    """What an account is allowed beyond itself."""

    USER = "user"
    SUPPORT = "support"
    AUDITOR = "auditor"
    ADMIN = "admin"


ROLES = {role.value: role for role in Role}
NOTHING: frozenset[Permission] = frozenset()
HELD: dict[Role, frozenset[Permission]] = {
    Role.USER: NOTHING,
    Role.SUPPORT: frozenset({Permission.USERS_READ, Permission.USERS_WRITE, Permission.USERS_IMPERSONATE, Permission.STATS_READ}),
    Role.AUDITOR: frozenset(
        {
            Permission.USERS_READ,
            Permission.AUDIT_READ,
            Permission.STATS_READ,
            Permission.JOBS_READ,
            Permission.SETTINGS_READ,
            Permission.WEBHOOKS_READ,
        }
    ),
    Role.ADMIN: frozenset(Permission),
}


def holds(role: Role, permission: Permission) -> bool:
    """Whether a role is a name for a set with this in it."""
    return permission in HELD[role]


def is_staff(role: Role) -> bool:
    """Whether a role holds anything at all."""
    return bool(HELD[role])


def covers(role: Role, other: Role) -> bool:
    """Whether a role holds all that another holds: it may give that one, and touch who has it."""
    return HELD[other] <= HELD[role]


def is_above(role: Role, other: Role) -> bool:
    """Whether a role holds all that another holds, and more."""
    return HELD[other] < HELD[role]
