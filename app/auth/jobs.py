"""What auth does daily."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.utils import stored_prefixes
from app.users import service as users


class ForgetSchemes:
    """Forgets schemes that no account uses any more, so that logins stop paying for them."""

    def __init__(self, current: str) -> None:
        self._current = current

    async def tidy(self, db: AsyncSession, _now: datetime) -> None:
        for scheme in await users.get_schemes(db):
            if scheme != self._current:
                await users.drop_scheme_unless(db, scheme, stored_prefixes(scheme))
