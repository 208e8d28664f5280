"""What proving and changing addresses needs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends

from app.core.deps import ServerOf


@dataclass(frozen=True, slots=True)
class VerificationKit:
    """Keys, how long links live, and the pages they lead to."""

    key: bytes
    change_key: bytes
    undo_key: bytes
    lane_key: bytes
    life: timedelta
    change_life: timedelta
    url: str
    change_url: str
    undo_url: str


async def verification_kit(server: ServerOf) -> VerificationKit:
    """The kit of this server."""
    return server.kit(VerificationKit)


Verification = Annotated[VerificationKit, Depends(verification_kit)]
