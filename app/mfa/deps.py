"""What second factors need beside auth's kit."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from app.core.crypto import Sealer
from app.core.deps import kit


@dataclass(frozen=True, slots=True)
class MfaKit:
    """Keys, the name that apps show, and who must have a factor from when on."""

    sealer: Sealer
    code_key: bytes
    issuer: str
    rule: Literal["optional", "admins", "required"]
    grace: timedelta


Mfa = Annotated[MfaKit, kit(MfaKit)]
