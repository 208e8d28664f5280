"""What pages say while somebody acts as another: impersonation by staff (app/impersonation)."""

from dataclasses import dataclass
from datetime import datetime

ACTING = "authkeep.acting"  # key in the ASGI scope
ACTING_ENDED = "/account/acting-ended"


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts, as whom, until when at the latest."""

    by: str
    username: str
    until: datetime
