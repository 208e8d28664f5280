"""What the list of jobs needs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from app.core.deps import ServerOf


@dataclass(frozen=True, slots=True)
class WorkKit:
    """The key of the list's cursors."""

    cursor_key: bytes


async def work_kit(server: ServerOf) -> WorkKit:
    """The kit of this server."""
    return server.kit(WorkKit)


Work = Annotated[WorkKit, Depends(work_kit)]
