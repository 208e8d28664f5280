"""Every table, for Alembic and for tests."""

from app.audit.models import AuditEvent
from app.auth.models import KnownDevice, LoginAttempt, LoginFailure, RememberedDevice, Session
from app.database import Base
from app.invitations.models import Invitation
from app.jobs.models import DailyRound, Job
from app.mail.models import DevMail
from app.mfa.models import MfaRequirement, RecoveryCode, TotpFactor
from app.passkeys.models import Passkey, PasskeyChallenge
from app.tickets.models import CodeGuess, Ticket
from app.users.models import HashScheme, User
from app.verification.models import EmailChange, PendingRegistration

__all__ = [
    "AuditEvent",
    "Base",
    "CodeGuess",
    "DailyRound",
    "DevMail",
    "EmailChange",
    "HashScheme",
    "Invitation",
    "Job",
    "KnownDevice",
    "LoginAttempt",
    "LoginFailure",
    "MfaRequirement",
    "Passkey",
    "PasskeyChallenge",
    "PendingRegistration",
    "RecoveryCode",
    "RememberedDevice",
    "Session",
    "Ticket",
    "TotpFactor",
    "User",
]
