"""What webhooks need."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from app.core.deps import ServerOf
from app.core.ports import Outbound
from app.webhooks.signing import Signer


@dataclass(frozen=True, slots=True)
class WebhookKit:
    """The key of the lists' cursors, who signs, and the way out."""

    cursor_key: bytes
    signer: Signer
    outbound: Outbound
    loopback: bool


async def webhook_kit(server: ServerOf) -> WebhookKit:
    """The kit of this server."""
    return server.kit(WebhookKit)


Hooks = Annotated[WebhookKit, Depends(webhook_kit)]
