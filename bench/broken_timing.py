"""The server as many write it, to show that the measurement sees what it looks for: run in the place of `python -m app`.

An unknown user is refused at once, before anything is counted or hashed; a known address has its ticket issued and its mail
sent within the request, an unknown one has nothing done for it; signing up with a taken address hashes nothing.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import registration
from app.auth import service as auth
from app.auth.deps import AuthKit
from app.auth.errors import LoginFailed
from app.auth.sessions import Pair
from app.auth.steps import Owed
from app.cli.app import main
from app.config import load_settings
from app.core.brand import read_brand
from app.core.client import Client
from app.core.crypto import digest, random_id
from app.core.limits import RateLimits
from app.database import Database
from app.infra.smtp import SmtpTransport
from app.magiclinks import service as magiclinks
from app.magiclinks.deps import MagicKit
from app.mail.service import MailKit
from app.passwords import service as passwords
from app.passwords.deps import ResetKit
from app.tickets import service as tickets
from app.users import service as users
from app.users.models import User
from app.users.names import name_key
from app.verification import service as verification
from app.verification.deps import VerificationKit

careful_log_in = auth.log_in
careful_register = registration.register
POST: MailKit | None = None  # in the process that serves: what it sends by


async def hasty_log_in(
    database: Database,
    kit: AuthKit,
    identifier: str,
    password: str,
    device: str | None,
    client: Client,
    now: datetime,
    *,
    browser: bool = False,
    remembered: str | None = None,
) -> Pair | Owed:
    """Nobody of that name: no reason to go on."""
    async with database.read() as db:
        if await users.find_by_key(db, name_key(identifier)) is None:
            raise LoginFailed
    return await careful_log_in(database, kit, identifier, password, device, client, now, browser=browser, remembered=remembered)


async def inline_request_reset(
    db: AsyncSession, limits: RateLimits, kit: ResetKit, email: str, client: Client, now: datetime
) -> None:
    """All the work within the request, if there is any to do."""
    await limits.allows("forgot_password_account", email)
    found = await users.find_by_key(db, name_key(email))
    user = await users.lock_user(db, found.id) if found else None
    if user is None:
        return
    token = await tickets.issue(db, kit.key, random_id(), passwords.PURPOSE, user.id, user.email_key, now, kit.life)
    await audit.record(db, Fact.RESET_REQUESTED, client, now, subject=user.id)
    minutes = str(int(kit.life.total_seconds() // 60))
    values = {"username": user.username, "link": f"{kit.url}?token={token}", "minutes": minutes}
    if POST is not None and POST.transport is not None:
        await POST.transport.send(POST.compose(random_id(), passwords.PURPOSE, user.email, now, values))


async def hasty_register(
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
    """Somebody has the address: no reason to go on."""
    async with database.read() as db:
        if await users.find_by_key(db, name_key(email)) is not None:
            return None
    return await careful_register(database, kit, username, email, password, client, now, locale=locale)


async def inline_ask_again(db: AsyncSession, limits: RateLimits, kit: VerificationKit, email: str, now: datetime) -> None:
    """All the work within the request, if there is any to do."""
    await limits.allows("resend_account", email)
    found = await users.find_by_key(db, name_key(email))
    user = await users.lock_user(db, found.id) if found else None
    if user is None:
        return
    token = await tickets.issue(db, kit.key, random_id(), verification.PURPOSE, user.id, user.email_key, now, kit.life)
    values = {"username": user.username, "link": f"{kit.url}?token={token}", "code": "ABCD-EFGH", "hours": "24"}
    if POST is not None and POST.transport is not None:
        await POST.transport.send(POST.compose(random_id(), verification.MAIL, user.email, now, values))


async def inline_ask(
    db: AsyncSession, limits: RateLimits, kit: MagicKit, email: str, secret: str, client: Client, now: datetime
) -> None:
    """All the work within the request, if there is any to do."""
    await limits.allows("magic_link_account", email)
    found = await users.find_by_key(db, name_key(email))
    user = await users.lock_user(db, found.id) if found else None
    if user is None:
        return
    key = user.email_key
    token = await tickets.issue(db, kit.key, random_id(), magiclinks.PURPOSE, user.id, key, now, kit.life, binding=digest(secret))
    await audit.record(db, Fact.MAGIC_LINK_REQUESTED, client, now, subject=user.id)
    values = {"username": user.username, "link": f"{kit.url}?token={token}", "code": "ABCD-EFGH", "minutes": "10"}
    if POST is not None and POST.transport is not None:
        await POST.transport.send(POST.compose(random_id(), magiclinks.TEMPLATE, user.email, now, values))


def by_settings() -> MailKit:
    """Mail by SMTP, as configured."""
    settings = load_settings()
    return MailKit(
        transport=SmtpTransport(settings),
        sender=settings.EMAIL_FROM,
        sender_name=settings.EMAIL_FROM_NAME,
        public_url=settings.public_url,
        brand=read_brand(settings),
        default_locale=settings.DEFAULT_LOCALE,
    )


if __name__ == "__main__":
    auth.log_in = hasty_log_in
    passwords.request_reset = inline_request_reset
    registration.register = hasty_register
    verification.ask_again = inline_ask_again
    magiclinks.ask = inline_ask
    POST = by_settings()
    main()
