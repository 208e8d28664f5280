"""Second factors over the wire."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.auth.schemas import Attempt, Device, Transport
from app.core.wire import Body, plain_text

TotpCode = Annotated[str, Field(pattern=r"^ ?[0-9]{3} ?[0-9]{3} ?$", description="Six digits", examples=["123456"])]
RecoveryText = Annotated[
    str,
    Field(
        min_length=1, max_length=64, description="In any case, with or without hyphens", examples=["ABCDEF-GHJKMN-PQRSTV-WXYZ01"]
    ),
    AfterValidator(plain_text),
]


class MfaOut(BaseModel):
    """The factors of an account."""

    model_config = ConfigDict(from_attributes=True)

    methods: tuple[str, ...] = Field(description="By which a second step can be given", examples=[["recovery", "totp"]])
    totp_added_at: datetime | None = Field(description="Since when there is an authenticator app; null for none")
    recovery_codes_left: int
    required: bool = Field(description="Whether the account must have a factor")
    enrol_by: datetime | None = Field(description="Until when one can sign in without, where one is required and missing")


class AttemptIn(Body):
    """Empty, or no body, for who is signed in; else the attempt of a login that can't go on without a factor."""

    attempt: Attempt | None = None


NO_ATTEMPT = AttemptIn()


class TotpSetupOut(BaseModel):
    """What an authenticator app is set up with; shown this once."""

    model_config = ConfigDict(from_attributes=True)

    secret: str = Field(description="Base 32, to be typed")
    otpauth_uri: str
    qr_svg: str = Field(description="The same as a picture, to be put into a page")


class ConfirmTotpIn(Body):
    """A code that the app shows. With `attempt`, the login goes on, and the rest is as at the login."""

    code: TotpCode
    attempt: Attempt | None = None
    device: Device | None = None
    transport: Transport = "body"


class FinishIn(Body):
    """What every second step of a login has."""

    attempt: Attempt
    remember_device: bool = Field(False, description="Do not ask this browser for the second factor for 30 days")
    device: Device | None = Field(None, description="`device` of an earlier login: then this one is no news to the owner")
    transport: Transport = "body"


class TotpLoginIn(FinishIn):
    """A code of the authenticator app."""

    code: TotpCode


class RecoveryLoginIn(FinishIn):
    """A recovery code."""

    code: RecoveryText


class RecoveryCodesOut(BaseModel):
    """Ten codes, each good once; shown this once."""

    codes: list[str] = Field(examples=[["ABCDEF-GHJKMN-PQRSTV-WXYZ01"]])


class UserMfaIn(Body):
    """What an admin decides of somebody's factors."""

    required: bool | None = Field(None, description="Whether the person must have a second factor, whatever MFA says")
    reset: bool = Field(False, description="Take every factor and recovery code away, and sign the person out")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.required is None and not self.reset:
            raise PydanticCustomError("missing", "Give required, or reset")
        return self
