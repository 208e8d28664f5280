"""What bulk actions need."""

from dataclasses import dataclass
from typing import Annotated

from app.core.deps import kit


@dataclass(frozen=True, slots=True)
class BulkKit:
    """The key of the list's cursors."""

    cursor_key: bytes


Bulk = Annotated[BulkKit, kit(BulkKit)]
