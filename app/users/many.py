"""Many accounts at once: what an import brings, and what an export takes."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Clash, add_many
from app.users import many_repository, repository
from app.users.models import User
from app.users.sockets import HOLDS

list_known = many_repository.list_known
list_behind = many_repository.list_behind


async def list_held(db: AsyncSession, username_keys: Sequence[str], email_keys: Sequence[str], now: datetime) -> set[str]:
    """Names and addresses among these that no new account may have, although none has them."""
    held: set[str] = set()
    for holds in HOLDS.within(db):
        held |= await holds.held_among(db, username_keys, email_keys, now)
    return held


async def create_users(db: AsyncSession, rows: Sequence[dict[str, Any]], schemes: Iterable[str], now: datetime) -> None:
    """New accounts, all or none: rows of `users`, of which `list_known` and `list_held` know nothing in this transaction.

    Raises:
        Clash: somebody was faster, or gave a name or address up that is kept since.
    """
    await add_many(db, User, rows)
    # Asked once more, behind the insert: as for a single one.
    if await list_held(db, [row["username_key"] for row in rows], [row["email_key"] for row in rows], now):
        raise Clash
    for scheme in sorted(set(schemes)):
        await repository.add_scheme(db, scheme)
