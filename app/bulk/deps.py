"""What bulk actions need."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from app.core.deps import ServerOf


@dataclass(frozen=True, slots=True)
class BulkKit:
    """The key of the list's cursors."""

    cursor_key: bytes


async def bulk_kit(server: ServerOf) -> BulkKit:
    """The kit of this server."""
    return server.kit(BulkKit)


Bulk = Annotated[BulkKit, Depends(bulk_kit)]
