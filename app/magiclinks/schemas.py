"""Signing in by mail over the wire."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from app.auth.schemas import Device, Transport
from app.core.wire import Body, Token, plain_text
from app.users.names import Email

Code = Annotated[str, Field(min_length=1, max_length=32, examples=["ABCD-EFGH"]), AfterValidator(plain_text)]


class MagicLinkIn(Body):
    """The address to send a sign-in link to."""

    email: Email


class MagicLinkOut(BaseModel):
    """The one answer to every request for a link."""

    detail: str = "If an account has this address, a mail is on its way."
    request: str = Field(
        description="Stands for whoever asked: send it along with the link or code. Browsers keep it as a cookie by themselves"
    )


class MagicSignInIn(Body):
    """The token of a link; or the address and the code, in any case, with or without hyphen."""

    token: Token | None = None
    email: Email | None = None
    code: Code | None = None
    request: Token | None = Field(None, description="`request` of the answer when the link was asked for")
    confirm: bool = Field(
        False, description="The person was told that it was asked for elsewhere, and wants to be signed in here all the same"
    )
    device: Device | None = Field(None, description="`device` of an earlier login: then this one is no news to the owner")
    transport: Transport = "body"

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        by_code = (self.email is not None, self.code is not None)
        if by_code != ((True, True) if self.token is None else (False, False)):
            raise PydanticCustomError("one_proof", "Give token, or email and code")
        return self

    @property
    def proof(self) -> "str | tuple[str, str]":
        """The token; or the address and the code."""
        return self.token if self.token is not None else (self.email or "", self.code or "")
