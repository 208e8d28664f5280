"""What the reset flow needs beside auth's kit."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends

from app.core.deps import ServerOf


@dataclass(frozen=True, slots=True)
class ResetKit:
    """The links' key, how long they live, where they lead."""

    key: bytes
    life: timedelta
    url: str
    lane_key: bytes


async def reset_kit(server: ServerOf) -> ResetKit:
    """The kit of this server."""
    return server.kit(ResetKit)


Reset = Annotated[ResetKit, Depends(reset_kit)]
