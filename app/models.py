"""Every table, for Alembic and for tests."""

from app.audit.models import AuditEvent
from app.auth.models import KnownDevice, LoginFailure, Session
from app.database import Base
from app.jobs.models import DailyRound, Job
from app.mail.models import DevMail
from app.tickets.models import Ticket
from app.users.models import HashScheme, User

__all__ = [
    "AuditEvent",
    "Base",
    "DailyRound",
    "DevMail",
    "HashScheme",
    "Job",
    "KnownDevice",
    "LoginFailure",
    "Session",
    "Ticket",
    "User",
]
