"""Every table, for Alembic and for tests."""

from app.audit.models import AuditChain, AuditEvent, AuditHead
from app.auth.models import KnownDevice, LoginAttempt, LoginFailure, RememberedDevice, Session
from app.bulk.models import BulkAction, BulkItem
from app.database import Base
from app.invitations.models import Invitation
from app.jobs.models import DailyRound, Job
from app.mail.models import DevMail
from app.mfa.models import MfaRequirement, RecoveryCode, TotpFactor
from app.passkeys.models import Passkey, PasskeyChallenge
from app.stats.models import StatPoint
from app.tickets.models import CodeGuess, Ticket
from app.users.models import HashScheme, User
from app.verification.models import EmailChange, PendingRegistration
from app.webhooks.models import WebhookAttempt, WebhookCursor, WebhookDelivery, WebhookEndpoint

__all__ = [
    "AuditChain",
    "AuditEvent",
    "AuditHead",
    "Base",
    "BulkAction",
    "BulkItem",
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
    "StatPoint",
    "Ticket",
    "TotpFactor",
    "User",
    "WebhookAttempt",
    "WebhookCursor",
    "WebhookDelivery",
    "WebhookEndpoint",
]
