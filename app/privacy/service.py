"""Taking one's data along, leaving, and being forgotten."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.auth import sessions
from app.core.caller import Caller, confirm
from app.core.client import Client
from app.core.errors import TokenInvalid
from app.core.personal import PERSONAL_DATA
from app.database import Database
from app.jobs import service as jobs
from app.jobs.sockets import Work
from app.users import service as users
from app.users.models import KEPT_AFTER_LEAVING

KIND = "erasure"
MOST_A_DAY = 10_000


async def export(database: Database, caller: Caller, now: datetime) -> dict[str, Any]:
    """Everything held about the caller, by what it is.

    Raises:
        TokenInvalid: the caller's session ended meanwhile.
    """
    me = caller.me.id
    async with database.write() as db:
        await users.lock_user(db, me)
        await confirm(db, caller, now)
        await audit.record(db, Fact.DATA_EXPORTED, caller.client, now, actor=me, subject=me, session=caller.session_id)
    # In a transaction of its own, which only reads: on SQLite nobody can write during the other.
    async with database.read() as db:
        user = await users.find_user(db, me)
        if user is None:
            raise TokenInvalid
        person = user.person()
        return {part.name: await part.export(db, person) for part in PERSONAL_DATA.within(db)}


async def leave(db: AsyncSession, caller: Caller, now: datetime) -> datetime:
    """End the caller's access now, and have the account erased later; when that will be.

    Raises:
        LastAdmin: see there.
        TokenInvalid: the caller's session ended meanwhile.
    """
    erased_at = await users.leave(db, caller, now)
    sessions.note_token(db, caller)
    await jobs.enqueue(db, KIND, {"user": str(caller.me.id)}, now, delay=KEPT_AFTER_LEAVING)
    return erased_at


class Erasure:
    """Erases who left and did not come back. Done twice, or too early, it does nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, work: Work) -> None:
        """The handler of jobs of kind "erasure": one transaction, all of it or nothing."""
        client = Client(address="", user_agent="", request_id=work.id.hex)
        async with self._database.write() as db:
            await users.erase_who_left(db, uuid.UUID(work.payload["user"]), client, work.now)


async def remember_overdue(db: AsyncSession, now: datetime) -> None:
    """Daily: who should have been erased and is still there, whatever became of the job, gets another one."""
    for user_id in await users.list_left_for_good(db, now, MOST_A_DAY):
        await jobs.enqueue(db, KIND, {"user": str(user_id)}, now)
