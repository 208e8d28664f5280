"""Writing security events down."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import repository
from app.audit.chain import digest_of
from app.audit.facts import Fact
from app.audit.models import AuditEvent
from app.audit.personal import IMPERSONAL
from app.audit.search_repository import Sought
from app.audit.sockets import KEYS
from app.core.caller import Caller
from app.core.client import Client
from app.core.crypto import random_128
from app.database import add_many

RECORDED = "audit.recorded"  # key in a session's info: facts of this transaction


class Recorded:
    """How often this process recorded each fact, counted once its transaction was committed."""

    def __init__(self) -> None:
        self.counts = Counter[Fact](dict.fromkeys(Fact, 0))

    async def on_commit(self, info: Mapping[str, Any]) -> None:
        """What is to be called after a commit."""
        self.counts.update(info.get(RECORDED, ()))


async def record(
    db: AsyncSession,
    fact: Fact,
    client: Client,
    now: datetime,
    *,
    actor: uuid.UUID | None = None,
    subject: uuid.UUID | None = None,
    session: uuid.UUID | None = None,
    **data: Any,
) -> None:
    """One row, in the caller's transaction: all or none. `data` holds what changed, never a secret.

    What of it may name somebody is written apart, and goes when the person is erased (`IMPERSONAL`).

    It is one insert, and waits for nobody. The row is marked as ours; the sealer gives it its place in the chain.
    """
    told = _told(fact, client, now, data) | {"actor_id": actor, "subject_id": subject, "session_id": session}
    (keys,) = KEYS.within(db)
    await repository.add_event(db, {**told, "mark": keys.mark_row(digest_of(told))})
    db.info.setdefault(RECORDED, []).append(fact)


async def record_many(
    db: AsyncSession, fact: Fact, client: Client, now: datetime, about: Iterable[tuple[uuid.UUID, dict[str, Any]]]
) -> None:
    """One row for each of these accounts with its data, as `record` writes them, by nobody known."""
    (keys,) = KEYS.within(db)
    rows = [_told(fact, client, now, data) | {"actor_id": None, "subject_id": who, "session_id": None} for who, data in about]
    await add_many(db, AuditEvent, [{**row, "mark": keys.mark_row(digest_of(row))} for row in rows])
    db.info.setdefault(RECORDED, []).extend(fact for _ in rows)


def _told(fact: Fact, client: Client, now: datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": now,
        "fact": fact.value,
        "impersonator_id": client.impersonator,
        "address": client.address[:64],
        "user_agent": client.user_agent,
        "request_id": client.request_id,
        "data": {name: value for name, value in data.items() if name in IMPERSONAL},
        "personal": {name: value for name, value in data.items() if name not in IMPERSONAL},
        "client_salt": random_128(),
        "personal_salt": random_128(),
    }


async def record_export(db: AsyncSession, caller: Caller, kind: str, sought: Sought, now: datetime) -> None:
    """Somebody takes the log along, or what they sought of it."""
    told = sought.told()
    who = caller.user_id
    await record(
        db,
        Fact.AUDIT_EXPORTED,
        caller.client,
        now,
        actor=who,
        subject=who,
        session=caller.session_id,
        format=kind,
        filters=sorted(told),
        sought=told,
    )


async def list_subjects(db: AsyncSession, fact: Fact, since: datetime, most: int) -> dict[uuid.UUID, datetime]:
    """The accounts that a fact was told of since then, the newest first, each with its last moment."""
    return await repository.list_subjects(db, fact, since, most)


async def record_denial(db: AsyncSession, caller: Caller, now: datetime) -> None:
    """A signed-in caller was refused (ASVS V16.3.2); of who acts as another, the one who really acted."""
    who = caller.impersonator or caller.user_id
    await record(db, Fact.ACCESS_DENIED, caller.client, now, actor=who, subject=caller.user_id, session=caller.session_id)
