"""Proving and changing addresses over the wire."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from app.core.wire import Body, Token, plain_text
from app.users.names import Email
from app.users.schemas import ProfileIn

Code = Annotated[str, Field(min_length=1, max_length=32, examples=["ABCD-EFGH"]), AfterValidator(plain_text)]


class VerifyEmailIn(Body):
    """The token of a link; or the address and the code, in any case, with or without hyphen."""

    token: Token | None = None
    email: Email | None = None
    code: Code | None = None

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        by_code = (self.email is not None, self.code is not None)
        if by_code != ((True, True) if self.token is None else (False, False)):
            raise PydanticCustomError("one_proof", "Give token, or email and code")
        return self


class VerifiedOut(BaseModel):
    """Whose address was proved."""

    username: str = Field(examples=["alice"])


class ResendIn(Body):
    """The address that waits to be proved."""

    email: Email


class ResentOut(BaseModel):
    """The one answer to everybody who asks for the mail again."""

    detail: str = "If this address waits to be verified, a mail is on its way."


class ChangeEmailIn(Body):
    """The address to change to."""

    new_email: Email


class ChangeEmailOut(BaseModel):
    """The one answer, whether or not somebody has the new address."""

    detail: str = "A mail is on its way to the new address. Open its link to finish the change."


class EmailTokenIn(Body):
    """The token of a link that confirms a change of address, or undoes it."""

    token: Token


class EditUserIn(ProfileIn):
    """What staff change of somebody's account. What is not named stays; null clears a display name or a locale."""

    email: Email | None = None

    @model_validator(mode="after")
    def _nobody_is_unreachable(self) -> Self:
        if "email" in self.model_fields_set and self.email is None:
            raise PydanticCustomError("email_missing", "An address can be changed, not cleared")
        return self
