"""What the list of jobs needs."""

from dataclasses import dataclass
from typing import Annotated

from app.core.deps import kit


@dataclass(frozen=True, slots=True)
class WorkKit:
    """The key of the list's cursors."""

    cursor_key: bytes


Work = Annotated[WorkKit, kit(WorkKit)]
