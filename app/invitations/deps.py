"""What invitations need."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends

from app.core.deps import ServerOf


@dataclass(frozen=True, slots=True)
class InvitationKit:
    """Keys, how long an invitation lives, the page it leads to, and whether there are any new accounts."""

    key: bytes
    cursor_key: bytes
    life: timedelta
    url: str
    open: bool


async def invitation_kit(server: ServerOf) -> InvitationKit:
    """The kit of this server."""
    return server.kit(InvitationKit)


Invitations = Annotated[InvitationKit, Depends(invitation_kit)]
