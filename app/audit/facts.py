"""The closed list of what can be recorded; docs/audit.md says what each means."""

from enum import StrEnum


class Fact(StrEnum):
    """A security event."""

    USER_REGISTERED = "user.registered"
    USER_CREATED = "user.created"
    LOGIN_SUCCEEDED = "user.login.succeeded"
    LOGIN_FAILED = "user.login.failed"
    LOGIN_STOPPED = "user.login.stopped"
    REAUTHENTICATED = "user.reauthenticated"
    REAUTHENTICATION_FAILED = "user.reauthentication_failed"
    SESSION_ENDED = "session.ended"
    SESSION_THEFT = "session.theft_detected"
    SESSION_FROM_FUTURE = "session.newer_than_database"
    RESET_REQUESTED = "user.password.reset_requested"
    PASSWORD_RESET = "user.password.reset"  # noqa: S105 -- an event's name
    PASSWORD_CHANGED = "user.password.changed"  # noqa: S105 -- an event's name
    PASSWORD_CHANGE_FAILED = "user.password.change_failed"  # noqa: S105 -- an event's name
    PASSWORD_SET = "user.password.set_by_operator"  # noqa: S105 -- an event's name
    ROLE_CHANGED = "user.role.changed"
    STATUS_CHANGED = "user.status.changed"
    USER_DELETED = "user.deleted"
    ACCESS_DENIED = "access.denied"
    RESTORED = "database.restored"
