"""The server as many write it, to show that the measurement sees what it looks for: run in the place of `python -m app`.

An unknown user is refused at once, before anything is counted or hashed; a known address has its ticket issued and its mail
written within the request, an unknown one has nothing done for it.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import service as auth
from app.auth.deps import AuthKit
from app.auth.errors import LoginFailed
from app.auth.sessions import Pair
from app.cli.app import main
from app.core.client import Client
from app.core.crypto import random_id
from app.core.limits import RateLimits
from app.core.templating import render_html, render_text
from app.database import Database
from app.mail import service as mail
from app.passwords import service as passwords
from app.passwords.deps import ResetKit
from app.tickets import service as tickets
from app.users import service as users
from app.users.names import name_key

careful_log_in = auth.log_in


async def hasty_log_in(
    database: Database, kit: AuthKit, identifier: str, password: str, device: str | None, client: Client, now: datetime
) -> Pair:
    """Nobody of that name: no reason to go on."""
    async with database.read() as db:
        if await users.find_by_key(db, name_key(identifier)) is None:
            raise LoginFailed
    return await careful_log_in(database, kit, identifier, password, device, client, now)


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
    values = {
        "product": "Authkeep",
        "public_url": "http://localhost:8000",
        "subject": mail.SUBJECTS[passwords.PURPOSE],
        "username": user.username,
        "link": f"{kit.url}?token={token}",
        "minutes": minutes,
    }
    render_text(f"mail/{passwords.PURPOSE}.txt", **values)
    render_html(f"mail/{passwords.PURPOSE}.html", **values)
    await mail.enqueue(db, passwords.PURPOSE, user.email, now, username=user.username)


if __name__ == "__main__":
    auth.log_in = hasty_log_in
    passwords.request_reset = inline_request_reset
    main()
