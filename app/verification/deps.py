"""What proving and changing addresses needs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from app.core.deps import kit


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


Verification = Annotated[VerificationKit, kit(VerificationKit)]
