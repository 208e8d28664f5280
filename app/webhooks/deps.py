"""What webhooks need."""

from dataclasses import dataclass
from typing import Annotated

from app.core.deps import kit
from app.core.ports import Outbound
from app.webhooks.signing import Signer


@dataclass(frozen=True, slots=True)
class WebhookKit:
    """The key of the lists' cursors, who signs, and the way out."""

    cursor_key: bytes
    signer: Signer
    outbound: Outbound
    loopback: bool


Hooks = Annotated[WebhookKit, kit(WebhookKit)]
