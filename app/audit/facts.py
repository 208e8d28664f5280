"""The closed list of what can be recorded; docs/audit.md says what each means."""

from enum import StrEnum


class Fact(StrEnum):
    """A security event."""

    USER_REGISTERED = "user.registered"
    REGISTRATION_STARTED = "user.registration.started"
    USER_CREATED = "user.created"
    USER_INVITED = "user.invited"
    INVITATION_WITHDRAWN = "user.invitation.withdrawn"
    INVITATION_ACCEPTED = "user.invitation.accepted"
    LOGIN_SUCCEEDED = "user.login.succeeded"
    LOGIN_FAILED = "user.login.failed"
    LOGIN_STEP_OWED = "user.login.step_owed"
    FACTOR_ADDED = "user.factor.added"
    FACTOR_REMOVED = "user.factor.removed"
    FACTORS_RESET = "user.factors.reset"
    FACTORS_REQUIRED = "user.factors.required"
    RECOVERY_CODES_MADE = "user.recovery_codes.made"
    SECOND_FACTOR_FAILED = "user.second_factor.failed"
    LOGIN_STOPPED = "user.login.stopped"
    MAGIC_LINK_REQUESTED = "user.magic_link.requested"
    REAUTHENTICATED = "user.reauthenticated"
    REAUTHENTICATION_FAILED = "user.reauthentication_failed"
    SESSION_ENDED = "session.ended"
    SESSION_REPORTED = "session.reported"
    SESSION_THEFT = "session.theft_detected"
    SESSION_FROM_FUTURE = "session.newer_than_database"
    RESET_REQUESTED = "user.password.reset_requested"
    PASSWORD_RESET = "user.password.reset"  # noqa: S105 -- an event's name
    PASSWORD_CHANGED = "user.password.changed"  # noqa: S105 -- an event's name
    PASSWORD_CHANGE_FAILED = "user.password.change_failed"  # noqa: S105 -- an event's name
    PASSWORD_REMOVED = "user.password.removed"  # noqa: S105 -- an event's name
    PASSWORD_SET = "user.password.set_by_operator"  # noqa: S105 -- an event's name
    PASSWORD_VOIDED = "user.password.voided"  # noqa: S105 -- an event's name
    EMAIL_VERIFIED = "user.email.verified"
    EMAIL_CHANGE_REQUESTED = "user.email.change_requested"
    EMAIL_CHANGED = "user.email.changed"
    EMAIL_CHANGE_UNDONE = "user.email.change_undone"
    PASSKEY_CLONED = "user.passkey.counter_went_back"
    ROLE_CHANGED = "user.role.changed"
    STATUS_CHANGED = "user.status.changed"
    USER_DELETED = "user.deleted"
    PROFILE_CHANGED = "user.profile.changed"
    DATA_EXPORTED = "user.data.exported"
    LEAVING_STARTED = "user.leaving.started"
    LEAVING_CANCELLED = "user.leaving.cancelled"
    USER_ERASED = "user.erased"
    ACCESS_DENIED = "access.denied"
    RESTORED = "database.restored"
