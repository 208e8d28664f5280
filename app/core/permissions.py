"""Roles and what they may do."""

from enum import StrEnum


class Role(StrEnum):
    """What an account is allowed beyond itself."""

    USER = "user"
    ADMIN = "admin"


ROLES = {role.value: role for role in Role}
