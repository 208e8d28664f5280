"""SQL of accounts."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.core.permissions import Role
from app.core.ports import Account
from app.database import UtcDateTime, insert_into
from app.statements import run
from app.users.models import KEPT_AFTER_LEAVING, Candidate, HashScheme, User

SPACE: Any = literal_column("' '")  # a text, which the function takes too, would be rendered anew at each execution
WINDOW = 10_000  # how many accounts one statement of a search looks at
ACTIVE_ADMIN = (User.role == Role.ADMIN) & User.disabled_at.is_(None) & User.leaving_at.is_(None)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which accounts a listing shows."""

    beginning: str | None
    role: Role | None
    active: bool | None
    verified: bool | None = None


ACCOUNT = (
    User.id,
    User.username,
    User.email,
    User.role,
    User.email_verified_at,
    User.created_at,
    User.display_name,
    User.locale,
)


def _candidate_by(column: Any) -> Any:
    one = select(literal(1).label("one")).subquery()
    schemes = select(func.aggregate_strings(HashScheme.scheme, SPACE)).scalar_subquery()
    left_for_good = User.leaving_at <= bindparam("left_before", type_=UtcDateTime)
    closed_at = case((left_for_good, User.leaving_at), else_=User.disabled_at)
    account = (User.id, User.username, User.email, User.password_hash, User.epoch)
    columns = (*account, closed_at, User.leaving_at, User.last_login_at, User.locale, schemes)
    return select(*columns).select_from(one).outerjoin(User, column == bindparam("key"))


CANDIDATE_BY_USERNAME, CANDIDATE_BY_EMAIL = _candidate_by(User.username_key), _candidate_by(User.email_key)
TOUCH_UNCHANGED = (
    update(User.__table__)  # type: ignore[arg-type]  # declared as FromClause, it is a Table
    .where(User.id == bindparam("user_id"), User.epoch == bindparam("before"), User.disabled_at.is_(None))
    .values(last_login_at=bindparam("now"))
    .returning(*ACCOUNT)
)


async def find_candidate(db: AsyncSession, key: str, now: datetime) -> Candidate:
    """Who has this username or address, by a query that has one row of plain columns in either case.

    An entity that is made for a known account and not for an unknown one takes a tenth of a millisecond that can be measured.
    """
    query = CANDIDATE_BY_EMAIL if "@" in key else CANDIDATE_BY_USERNAME
    return Candidate(*(await run(db, query, {"key": key, "left_before": now - KEPT_AFTER_LEAVING}))[0])


async def touch_unchanged(db: AsyncSession, user_id: uuid.UUID, epoch: int, now: datetime) -> Account | None:
    """Note a login and hold the row, if the account is active and still of this epoch."""
    rows = await run(db, TOUCH_UNCHANGED, {"user_id": user_id, "before": epoch, "now": now})
    if not rows:
        return None
    found_id, username, email, role, verified_at, created_at, display_name, locale = rows[0]
    return Account(found_id, username, email, Role(role), verified_at is not None, created_at, display_name, locale)


async def find_user(db: AsyncSession, user_id: uuid.UUID) -> User | None:
    """The account as it is now."""
    return await db.get(User, user_id, populate_existing=True)


async def find_by_key(db: AsyncSession, key: str) -> User | None:
    """The account with this username or address in its unique form."""
    column = User.email_key if "@" in key else User.username_key
    return await db.scalar(select(User).where(column == key))


async def add_user(db: AsyncSession, values: dict[str, Any]) -> User | None:
    """The new account, or None if its name or address is taken; the constraints decide, so a race makes one."""
    added = insert_into(db, User).values(values).on_conflict_do_nothing().returning(User.id)
    user_id = await db.scalar(added)
    return await find_user(db, user_id) if user_id else None


async def has_username(db: AsyncSession, key: str) -> bool:
    """Whether the name is taken."""
    return await db.scalar(select(User.id).where(User.username_key == key)) is not None


async def lock_user(db: AsyncSession, user_id: uuid.UUID) -> User | None:
    """The account, held until the transaction ends."""
    found: User | None = await db.scalar(
        select(User).where(User.id == user_id).with_for_update().execution_options(populate_existing=True)
    )
    return found


async def lock_users_and_admins(db: AsyncSession, user_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, User]:
    """These accounts and every active admin, held in order of id, so that two such changes never deadlock."""
    query = (
        select(User)
        .where(or_(User.id.in_(list(user_ids)), ACTIVE_ADMIN))
        .order_by(User.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {user.id: user for user in (await db.scalars(query)).all()}


async def update_user(db: AsyncSession, user_id: uuid.UUID, **values: Any) -> None:
    """Set columns."""
    await db.execute(update(User).where(User.id == user_id).values(**values))


async def set_unique(db: AsyncSession, user_id: uuid.UUID, values: dict[str, Any]) -> bool:
    """Set a name or an address; False if it is taken. The constraint decides, and the transaction goes on."""
    try:
        async with db.begin_nested():
            await db.execute(update(User).where(User.id == user_id).values(values))
    except IntegrityError:
        return False
    return True


async def clear_leaving(db: AsyncSession, user_id: uuid.UUID) -> bool:
    """True for the one who takes a leaving back."""
    back = update(User).where(User.id == user_id, User.leaving_at.is_not(None)).values(leaving_at=None).returning(User.id)
    return await db.scalar(back) is not None


async def list_left_for_good(db: AsyncSession, now: datetime, most: int) -> list[uuid.UUID]:
    """Who left so long ago that nothing brings the account back."""
    left = select(User.id).where(User.leaving_at <= now - KEPT_AFTER_LEAVING).order_by(User.leaving_at).limit(most)
    return list((await db.scalars(left)).all())


async def replace_hash(db: AsyncSession, user_id: uuid.UUID, verified: str, upgraded: str) -> None:
    """Store a better hash of the same password, unless the hash that was verified is no longer the one stored."""
    await db.execute(update(User).where(User.id == user_id, User.password_hash == verified).values(password_hash=upgraded))


async def delete_user(db: AsyncSession, user_id: uuid.UUID) -> None:
    """Remove the row."""
    await db.execute(delete(User).where(User.id == user_id))


async def has_users(db: AsyncSession) -> bool:
    """Whether there is any account."""
    return await db.scalar(select(User.id).limit(1)) is not None


async def list_schemes(db: AsyncSession) -> list[str]:
    """The password schemes in use."""
    return list((await db.scalars(select(HashScheme.scheme))).all())


async def add_scheme(db: AsyncSession, scheme: str) -> None:
    """Note that a hash of this scheme is stored."""
    await db.execute(insert_into(db, HashScheme).values(scheme=scheme).on_conflict_do_nothing())


async def drop_scheme_unless(db: AsyncSession, scheme: str, hash_prefixes: tuple[str, ...]) -> None:
    """Forget a scheme that no stored hash begins like."""
    in_use = exists().where(or_(*(User.password_hash.startswith(prefix, autoescape=True) for prefix in hash_prefixes)))
    await db.execute(delete(HashScheme).where(HashScheme.scheme == scheme, ~in_use))


async def list_ids(
    db: AsyncSession, filters: Filters, created_until: datetime, after: uuid.UUID | None, limit: int
) -> list[uuid.UUID]:
    """Accounts that match and are no younger, in order of id."""
    query = matching(select(User.id), filters).where(User.created_at <= created_until)
    if after is not None:
        query = query.where(User.id > after)
    return list((await db.scalars(query.order_by(User.id).limit(limit))).all())


async def list_by_ids(db: AsyncSession, user_ids: Iterable[uuid.UUID]) -> list[User]:
    """Those of these accounts that there are, in order of id."""
    return list((await db.scalars(select(User).where(User.id.in_(list(user_ids))).order_by(User.id))).all())


def matching(query: Select[Any], filters: Filters, user: Any = User) -> Select[Any]:
    """Narrowed to those that a listing shows."""
    if filters.beginning:
        query = query.where(or_(begins(user.username_key, filters.beginning), begins(user.email_key, filters.beginning)))
    if filters.role is not None:
        query = query.where(user.role == filters.role)
    return query.where(*of_status(user, filters))


def of_status(user: Any, filters: Filters) -> list[ColumnElement[bool]]:
    found = []
    if filters.active is not None:
        found.append(user.disabled_at.is_(None) if filters.active else user.disabled_at.is_not(None))
    if filters.verified is not None:
        found.append(user.email_verified_at.is_not(None) if filters.verified else user.email_verified_at.is_(None))
    return found


def begins(column: Any, beginning: str) -> ColumnElement[bool]:
    """Whether it begins so."""
    # A range instead of LIKE: literal whatever the characters, and served by the index on both databases.
    return and_(column >= beginning, column < beginning + "\U0010ffff")


Place = tuple[Any, ...]  # the values of a part's columns in one row


@dataclass(frozen=True, slots=True)
class Part:
    """Accounts along one index: by which columns, from which end; `sought` is the one that begins with what is searched for."""

    columns: tuple[InstrumentedAttribute[Any], ...]
    descending: bool = False
    sought: InstrumentedAttribute[Any] | None = None
    but: InstrumentedAttribute[Any] | None = None  # those were in the part before

    def place(self, user: User) -> Place:
        """Where an account stands in it."""
        return tuple(getattr(user, column.key) for column in self.columns)

    def read(self, written: Sequence[str]) -> Place:
        """A place from its text."""
        return tuple(_value(column, text) for column, text in zip(self.columns, written, strict=True))


BY_AGE = (User.created_at, User.id)
WALKS = {
    "-created_at": Part(BY_AGE, descending=True),
    "created_at": Part(BY_AGE),
    "username": Part((User.username_key,)),
    "email": Part((User.email_key,)),
}
SOUGHT = (
    Part((User.username_key,), sought=User.username_key),
    Part((User.email_key,), sought=User.email_key, but=User.username_key),
)


def _value(column: InstrumentedAttribute[Any], text: str) -> Any:
    if column.key == "created_at":
        return datetime.fromisoformat(text)
    return uuid.UUID(text) if column.key == "id" else text


def window(part: Part, filters: Filters, after: Place | None) -> Select[Any]:
    """The next WINDOW accounts of a part. What an index is narrowed to is asked for in here, all else of those found."""
    query = select(User)
    if part.sought is not None and filters.beginning:
        query = query.where(begins(part.sought, filters.beginning))
    if filters.role not in {None, Role.USER}:
        query = query.where(User.role != literal_column("'user'"))  # as the index has it, and no parameter
    if filters.active is False:
        query = query.where(User.disabled_at.is_not(None))
    if after is not None:
        here = tuple_(*part.columns)
        there = tuple_(*(literal(value, column.type) for value, column in zip(after, part.columns, strict=True)))
        query = query.where(here < there if part.descending else here > there)
    keys = (column.desc() for column in part.columns) if part.descending else part.columns
    return query.order_by(*keys).limit(WINDOW)


def _wanted(user: Any, part: Part, filters: Filters) -> list[ColumnElement[bool]]:
    found = of_status(user, filters)
    if filters.role is not None:
        found.append(user.role == filters.role)
    if part.but is not None and filters.beginning:
        found.append(not_(begins(getattr(user, str(part.but.key)), filters.beginning)))
    return found


async def list_window(db: AsyncSession, part: Part, filters: Filters, after: Place | None, limit: int) -> list[User]:
    """Those of the window that match, in order."""
    user = aliased(User, window(part, filters, after).subquery())
    query = select(user).where(*_wanted(user, part, filters))
    columns = [getattr(user, column.key) for column in part.columns]
    keys = [column.desc() for column in columns] if part.descending else columns
    return list((await db.scalars(query.order_by(*keys).limit(limit))).all())


async def find_end(db: AsyncSession, part: Part, filters: Filters, after: Place | None) -> Place | None:
    """Where the window ends; None if it held the last account of the part."""
    query = window(part, filters, after).with_only_columns(*part.columns).offset(WINDOW - 1).limit(1)
    found = (await db.execute(query)).one_or_none()
    return tuple(found) if found is not None else None


async def count_window(db: AsyncSession, parts: Sequence[Part], filters: Filters) -> tuple[int, bool]:
    """How many of the first windows match, and whether there may be more."""
    total, capped = 0, False
    for part in parts:
        user = aliased(User, window(part, filters, None).subquery())
        matching = func.sum(case((and_(true(), *_wanted(user, part, filters)), 1), else_=0))
        looked, found = (await db.execute(select(func.count(), matching).select_from(user))).one()
        total, capped = total + (found or 0), capped or looked >= WINDOW
    return total, capped
