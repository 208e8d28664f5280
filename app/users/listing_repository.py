"""SQL of listings of accounts: a page in some order, and how many there are.

No index serves both a beginning and an order. So a page of what begins alike is looked for along the order, where what is common
is found at once; else all that begins so is gathered by its own index and sorted; only what is too much for that, and far away,
is gone through in order.
"""

import uuid
from typing import Any

from sqlalchemy import Select, func, literal, select, true, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.users.models import User
from app.users.repository import Filters, begins, matching

COUNTED = 10_000
NEAR = 5_000  # accounts
GATHERED = 300_000
ORDERS: dict[str, Any] = {"created_at": User.created_at, "username": User.username_key, "email": User.email_key}
After = tuple[Any, uuid.UUID]


async def list_users(
    db: AsyncSession, filters: Filters, order: str, *, descending: bool, after: After | None, limit: int
) -> list[User]:
    """A page in the order given, from behind the position `after`."""
    column = ORDERS[order].key

    def behind(query: Select[Any], of: Any) -> Select[Any]:
        place = (getattr(of, column), of.id)
        if after is not None:
            # Rows are compared as a whole: an index can begin there, which it can't for "greater, or equal and ...".
            here, there = tuple_(*place), tuple_(literal(after[0], place[0].type), literal(after[1], User.id.type))
            query = query.where(here < there if descending else here > there)
        return sort(query, of)

    def sort(query: Select[Any], of: Any) -> Select[Any]:
        place = (getattr(of, column), of.id)
        return query.order_by(*(each.desc() if descending else each for each in place))

    if filters.beginning is not None:
        near = aliased(User, behind(select(User), User).limit(NEAR).subquery())
        found = list((await db.scalars(behind(matching(select(near), filters, near), near).limit(limit))).all())
        if len(found) == limit:
            return found
        gathered = matching(select(User.id, getattr(User, column)), filters).limit(GATHERED + 1).cte("gathered")
        page = behind(select(gathered), gathered.c).limit(limit).subquery()
        size = select(func.count().label("size")).select_from(gathered).subquery()
        joined = size.outerjoin(page, true()).outerjoin(User, User.id == page.c.id)
        rows = (await db.execute(sort(select(size.c.size, User).select_from(joined), page.c))).all()
        if rows[0][0] <= GATHERED:
            return [user for _, user in rows if user is not None]
    return list((await db.scalars(behind(matching(select(User), filters), User).limit(limit))).all())


async def count_users(db: AsyncSession, filters: Filters) -> int:
    """How many match, counted to one more than 10,000."""
    if filters == Filters(filters.beginning, None, None) and filters.beginning is not None:
        # Each along its own index, which holds them side by side: whatever the statistics say, they are not sought elsewhere.
        keys = (User.username_key, User.email_key)
        parts = [
            select(User.id).where(begins(key, filters.beginning)).order_by(key).limit(COUNTED + 1).subquery() for key in keys
        ]
        some = union(*(select(part.c.id) for part in parts)).subquery()
        return min(await db.scalar(select(func.count()).select_from(some)) or 0, COUNTED + 1)
    few = matching(select(User.id), filters).limit(COUNTED + 1).subquery()
    return await db.scalar(select(func.count()).select_from(few)) or 0
