"""SQL of security events, and of their chain."""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import ABOUT_ANOTHER, RARE, AuditChain, AuditEvent, AuditHead
from app.statements import run

ADD_EVENT = insert(AuditEvent.__table__).inline()  # type: ignore[arg-type]  # declared as FromClause, it is a Table
COLUMNS = tuple(AuditEvent.__table__.columns)  # plain rows: a session would keep every entity it has read
PAGE = 500
LOOKED_UP = 500  # moments in one query
SEAL_EVENT = (
    update(AuditEvent.__table__)  # type: ignore[arg-type]  # as above
    .where(AuditEvent.id == bindparam("event_id"), AuditEvent.position.is_(None))
    .values(position=bindparam("place"), seal=bindparam("its_seal"), mark=bindparam("its_mark"))
)
ERASE_CLIENT = (
    update(AuditEvent.__table__)  # type: ignore[arg-type]  # as above
    .where(AuditEvent.id == bindparam("event_id"))
    .values(address="", user_agent="", client_salt=None, client_digest=bindparam("digest"))
)
ERASE_PERSONAL = (
    update(AuditEvent.__table__)  # type: ignore[arg-type]  # as above
    .where(AuditEvent.id == bindparam("event_id"))
    .values(personal=bindparam("left"), personal_salt=None, personal_digest=bindparam("digest"))
)


async def add_event(db: AsyncSession, values: dict[str, Any]) -> None:
    """One more row."""
    await run(db, ADD_EVENT, values)


async def pages_about(db: AsyncSession, user_id: uuid.UUID) -> AsyncIterator[Sequence[Any]]:
    """The rows whose subject is this account, then those of what it did to others, some hundreds at a time; each oldest first.

    One after the other, since each has an index in the order of the pages.
    """
    for about in (AuditEvent.subject_id == user_id, and_(AuditEvent.actor_id == user_id, ABOUT_ANOTHER)):
        last, page = 0, None
        while page is None or len(page) == PAGE:
            query = select(*COLUMNS).where(about, AuditEvent.id > last).order_by(AuditEvent.id).limit(PAGE)
            page = (await db.execute(query)).all()
            if page:
                yield page
                last = page[-1].id


async def list_subjects(db: AsyncSession, fact: str, since: datetime, most: int) -> dict[uuid.UUID, datetime]:
    """The last moment of a fact that is rare for each of the accounts it was told of since then, the newest first."""
    last = func.max(AuditEvent.at)
    told = select(AuditEvent.subject_id, last).where(
        AuditEvent.fact == fact, RARE, AuditEvent.at >= since, AuditEvent.subject_id.is_not(None)
    )
    rows = (await db.execute(told.group_by(AuditEvent.subject_id).order_by(last.desc()).limit(most))).all()
    return {subject: at for subject, at in rows if subject is not None}


async def erase_clients(db: AsyncSession, digests: Sequence[dict[str, Any]]) -> None:
    """Empty where these came from; what was committed to stays (`event_id`, `digest`)."""
    if digests:
        await (await db.connection()).execute(ERASE_CLIENT, digests)


async def erase_personal(db: AsyncSession, digests: Sequence[dict[str, Any]]) -> None:
    """Empty what names somebody; what was committed to stays (`event_id`, `digest`)."""
    if digests:
        await (await db.connection()).execute(ERASE_PERSONAL, [{"left": {}, **each} for each in digests])


async def replace_data(db: AsyncSession, event_id: int, data: dict[str, Any]) -> None:
    """Let a row keep only this."""
    kept = update(AuditEvent).where(AuditEvent.id == event_id).values(data=data)
    await db.execute(kept.execution_options(synchronize_session=False))


async def has_unsealed(db: AsyncSession) -> bool:
    """Whether there is a row without a place in the chain."""
    return await db.scalar(select(AuditEvent.id).where(AuditEvent.position.is_(None)).limit(1)) is not None


async def find_oldest_unsealed(db: AsyncSession) -> datetime | None:
    """The moment of the first row without a place."""
    query = select(AuditEvent.at).where(AuditEvent.position.is_(None)).order_by(AuditEvent.id).limit(1)
    moment: datetime | None = await db.scalar(query)
    return moment


async def has_refused(db: AsyncSession) -> bool:
    """Whether the sealer found a row not to be ours."""
    query = select(AuditEvent.position).where(AuditEvent.position < 1).order_by(AuditEvent.position).limit(1)
    return await db.scalar(query) is not None


async def find_chain(db: AsyncSession) -> AuditChain | None:
    """How far the chain is."""
    return await db.get(AuditChain, "chain", populate_existing=True)


async def take_chain(db: AsyncSession, lease: uuid.UUID, now: datetime, until: datetime) -> AuditChain | None:
    """The chain, held until the transaction ends, for the one sealer that has the lease; None for any other."""
    free = or_(AuditChain.lease.is_(None), AuditChain.lease == lease, AuditChain.lease_until < now)
    take = (
        update(AuditChain)
        .where(AuditChain.name == "chain", free)
        .values(lease=lease, lease_until=until)
        .returning(AuditChain)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return (await db.scalars(take)).one_or_none()


async def lock_chain(db: AsyncSession) -> AuditChain | None:
    """The chain, held until the transaction ends, whoever has the lease."""
    query = select(AuditChain).where(AuditChain.name == "chain").with_for_update()
    found: AuditChain | None = await db.scalar(query.execution_options(populate_existing=True))
    return found


async def move_chain(db: AsyncSession, before: int, **values: Any) -> bool:
    """Set columns of the chain, if it is as far as it was."""
    moved = update(AuditChain).where(AuditChain.name == "chain", AuditChain.position == before).values(**values)
    done = await db.execute(moved.returning(AuditChain.name).execution_options(synchronize_session=False))
    return done.first() is not None


async def list_unsealed(db: AsyncSession, most: int) -> Sequence[Any]:
    """Rows without a place, in the order of their ids."""
    query = select(*COLUMNS).where(AuditEvent.position.is_(None)).order_by(AuditEvent.id).limit(most)
    return (await db.execute(query)).all()


async def list_unsealed_ids(db: AsyncSession, most: int) -> Sequence[int]:
    """The ids of rows without a place."""
    query = select(AuditEvent.id).where(AuditEvent.position.is_(None)).order_by(AuditEvent.id).limit(most)
    return (await db.scalars(query)).all()


async def get_row(db: AsyncSession, row_id: int) -> Any:
    """A row by its id."""
    return (await db.execute(select(*COLUMNS).where(AuditEvent.id == row_id))).one()


async def list_of_moments(db: AsyncSession, moments: Sequence[datetime]) -> Sequence[Any]:
    """Rows with a place that were written at one of these moments."""
    columns = (AuditEvent.at, AuditEvent.request_id, AuditEvent.fact, AuditEvent.subject_id, AuditEvent.client_salt)
    found: list[Any] = []
    for start in range(0, len(moments), LOOKED_UP):
        some = moments[start : start + LOOKED_UP]
        found += (await db.execute(select(*columns).where(AuditEvent.at.in_(some), AuditEvent.position.is_not(None)))).all()
    return found


async def seal_events(db: AsyncSession, seals: Sequence[dict[str, Any]]) -> None:
    """Give rows their places: `event_id`, `place`, `its_seal`, `its_mark`."""
    if seals:
        await (await db.connection()).execute(SEAL_EVENT, seals)


async def add_head(db: AsyncSession, kind: str, position: int, line: str) -> None:
    """Keep a head."""
    await db.execute(insert(AuditHead).values(kind=kind, position=position, line=line))


async def list_head_lines(db: AsyncSession, kind: str | None) -> list[str]:
    """Heads as they were kept, oldest first; of one kind if it is named."""
    query = select(AuditHead.line).order_by(AuditHead.id)
    return list((await db.scalars(query.where(AuditHead.kind == kind) if kind else query)).all())


async def thin_heads(db: AsyncSession, kept: int) -> None:
    """Forget plain heads but for the newest ones; a cut and restores stay."""
    newest = select(AuditHead.id).where(AuditHead.kind == "head").order_by(AuditHead.id.desc())
    last = await db.scalar(newest.offset(kept).limit(1))
    if last is not None:
        await db.execute(delete(AuditHead).where(AuditHead.kind == "head", AuditHead.id <= last))


async def replace_cut(db: AsyncSession, position: int, line: str) -> None:
    """Keep where the chain begins now, in place of where it began."""
    await db.execute(delete(AuditHead).where(AuditHead.kind == "cut"))
    await add_head(db, "cut", position, line)


@dataclass(frozen=True, slots=True)
class End:
    """What the chain's row says of its end, and what is there: `last` is the last place there is, `its_seal` that of the place
    which the chain's row names."""

    position: int
    seal: bytes
    last: int | None
    its_seal: bytes | None
    its_mark: bytes | None

    @property
    def fits(self) -> bool:
        """Whether the last row is the one that the chain's row names."""
        return self.last == self.position and self.its_seal == self.seal


async def find_end(db: AsyncSession) -> End:
    """The chain's row beside the end of the chain, as they are at one moment."""
    last = select(func.max(AuditEvent.position)).where(AuditEvent.position > 0).scalar_subquery()
    of_end = select(AuditEvent).where(AuditEvent.position == AuditChain.position, AuditEvent.position > 0)
    seal, mark = (of_end.with_only_columns(column).scalar_subquery() for column in (AuditEvent.seal, AuditEvent.mark))
    query = select(AuditChain.position, AuditChain.seal, last, seal, mark).where(AuditChain.name == "chain")
    return End(*(await db.execute(query)).one())


async def list_places(db: AsyncSession, after: int, most: int) -> Sequence[Any]:
    """Ids and places in the order of the chain, behind this place."""
    query = select(AuditEvent.id, AuditEvent.position).where(AuditEvent.position > after)
    return (await db.execute(query.order_by(AuditEvent.position).limit(most))).all()


async def find_cut(db: AsyncSession) -> str | None:
    """The line of the head behind which rows were taken away."""
    line: str | None = await db.scalar(
        select(AuditHead.line).where(AuditHead.kind == "cut").order_by(AuditHead.id.desc()).limit(1)
    )
    return line


async def list_kept_for_good(db: AsyncSession) -> list[str]:
    """The newest plain head, and every cut and restored one, oldest first."""
    newest = select(func.max(AuditHead.id)).where(AuditHead.kind == "head").scalar_subquery()
    query = select(AuditHead.line).where(or_(AuditHead.kind != "head", AuditHead.id == newest)).order_by(AuditHead.id)
    return list((await db.scalars(query)).all())


async def list_sealed(db: AsyncSession, after: int, most: int) -> Sequence[Any]:
    """Rows in the order of the chain, behind this place."""
    query = select(*COLUMNS).where(AuditEvent.position > after).order_by(AuditEvent.position).limit(most)
    return (await db.execute(query)).all()


async def find_position(db: AsyncSession) -> int:
    """How far the chain is."""
    return await db.scalar(select(AuditChain.position).where(AuditChain.name == "chain")) or 0


async def find_refused(db: AsyncSession) -> int | None:
    """The id of the first row that the sealer found not to be ours; no place that it gives is below 1."""
    return await db.scalar(select(AuditEvent.id).where(AuditEvent.position < 1).order_by(AuditEvent.id).limit(1))


async def find_oldest_sealed(db: AsyncSession) -> Any:
    """The first row of the chain that is still there: its id, place and moment."""
    query = select(AuditEvent.id, AuditEvent.position, AuditEvent.at).where(AuditEvent.position > 0)
    return (await db.execute(query.order_by(AuditEvent.position).limit(1))).one_or_none()


async def find_last_before(db: AsyncSession, moment: datetime, first: int, last: int) -> Any:
    """The last place of those from `first` to `last` up to which every row is older than this: its position and seal."""
    these = AuditEvent.position.between(first, last)
    end = await db.scalar(select(func.min(AuditEvent.position)).where(these, AuditEvent.at >= moment))
    older = these if end is None else these & (AuditEvent.position < end)
    query = select(AuditEvent.position, AuditEvent.seal).where(older).order_by(AuditEvent.position.desc()).limit(1)
    return (await db.execute(query)).one_or_none()


async def delete_up_to(db: AsyncSession, position: int) -> None:
    """Remove the rows up to a place."""
    await db.execute(delete(AuditEvent).where(AuditEvent.position.between(1, position)))
