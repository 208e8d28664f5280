"""What /dev/mailbox.json shows."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict


class DevMailOut(BaseModel):
    """One mail in the dev mailbox."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    sent_at: datetime
    recipient: str
    subject: str
    text: str
    html: str
