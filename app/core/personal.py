"""Who holds what about a person: each feature with tables of its own plugs its part into `PERSONAL_DATA`."""

import uuid
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.sockets import Socket


class PersonalData(Protocol):
    """One feature's part in export and erasure."""

    @property
    def name(self) -> str:
        """Its key in the exported document."""
        ...

    async def export(self, db: AsyncSession, user_id: uuid.UUID) -> Any:
        """What is held about the account, as JSON values. No secret and no digest of one."""
        ...

    async def erase(self, db: AsyncSession, user_id: uuid.UUID, now: datetime) -> None:
        """Remove it, or what of it names the person where the row must stay; the account's row is locked."""
        ...


PERSONAL_DATA: Socket[PersonalData] = Socket("core.PERSONAL_DATA")
