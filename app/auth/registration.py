"""Registering: an account at once, or a registration that waits for its address to be proved."""

from datetime import datetime

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth.deps import AuthKit
from app.auth.errors import RegistrationClosed
from app.auth.sockets import PENDING, REGISTERED, Applicant
from app.core.client import Client
from app.core.permissions import Role
from app.database import Database
from app.users import service as users
from app.users.models import User


async def register(
    database: Database,
    kit: AuthKit,
    username: str,
    email: str,
    password: str,
    client: Client,
    now: datetime,
    *,
    locale: str | None = None,
) -> User | None:
    """A new account; None where it is made only when the address is proved, taken or not.

    Raises:
        RegistrationClosed: before any work.
        UsernameReserved, PasswordRejected, UsernameTaken, EmailTaken, Overloaded: see there.
    """
    if not kit.registration_open:
        raise RegistrationClosed
    users.check_reserved(username)
    kit.check_new_password(password, "password", username=username, email=email)
    with kit.pool.place() as run:
        async with database.read() as db:
            await users.check_username_free(db, username, now)
            if not PENDING.within(db):  # where one is, nothing asks about the address before the worker does
                await users.check_email_free(db, email, now)
        password_hash = await run(kit.passwords.hash, password)
    applicant = Applicant(username, email, password_hash, kit.passwords.label, locale)
    async with database.write() as db:
        for keep in PENDING.within(db):
            await keep(db, applicant, client, now)
            return None
        user = await users.create_user(
            db,
            username=username,
            email=email,
            password_hash=password_hash,
            scheme=applicant.scheme,
            role=Role.USER,
            now=now,
            locale=locale,
        )
        await audit.record(db, Fact.USER_REGISTERED, client, now, actor=user.id, subject=user.id)
        for hear in REGISTERED.within(db):
            await hear(db, user, client, now)
        return user
