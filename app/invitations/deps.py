"""What invitations need."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from app.core.deps import kit


@dataclass(frozen=True, slots=True)
class InvitationKit:
    """Keys, how long an invitation lives, the page it leads to, and whether there are any new accounts."""

    key: bytes
    cursor_key: bytes
    life: timedelta
    url: str
    open: bool


Invitations = Annotated[InvitationKit, kit(InvitationKit)]
