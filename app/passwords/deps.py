"""What the reset flow needs beside auth's kit."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from app.core.deps import kit


@dataclass(frozen=True, slots=True)
class ResetKit:
    """The links' key, how long they live, where they lead."""

    key: bytes
    life: timedelta
    url: str
    lane_key: bytes


Reset = Annotated[ResetKit, kit(ResetKit)]
