"""Passkeys over the wire."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from app.auth.schemas import Attempt, Device, LoginOut, ProofOut, Transport
from app.core.wire import Body, Identifier, Token, plain_text
from app.passkeys.credentials import AssertedCredential, CreatedCredential
from app.passkeys.models import Passkey

PasskeyName = Annotated[str, Field(min_length=1, max_length=64, examples=["My phone"]), AfterValidator(plain_text)]


class OptionsOut(BaseModel):
    """What to hand to the browser's `parseCreationOptionsFromJSON()` or `parseRequestOptionsFromJSON()`."""

    public_key: dict[str, Any] = Field(description="PublicKeyCredentialCreationOptionsJSON or …RequestOptionsJSON")


class AddOptionsIn(Body):
    """Empty, or no body, for who is signed in; else the attempt of a login that can't go on without a factor."""

    attempt: Attempt | None = None


NO_ATTEMPT = AddOptionsIn()


class AddPasskeyIn(Body):
    """What the browser made of the options, and what its owner calls it. With `attempt`, the rest is as at the login."""

    credential: CreatedCredential
    name: PasskeyName = "Passkey"
    attempt: Attempt | None = None
    device: Device | None = None
    transport: Transport = "body"


class RenamePasskeyIn(Body):
    """What its owner calls it."""

    name: PasskeyName


class PasskeyOut(BaseModel):
    """One of the caller's passkeys."""

    id: uuid.UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    synced: bool = Field(description="May be on several devices; otherwise it is on one, such as a security key")
    discoverable: bool | None = Field(description="Signs in without a username; null: the browser did not say")
    verifies_user: bool = Field(description="Asks for a PIN or a finger: it can be the whole login")
    aaguid: uuid.UUID = Field(description="The kind of authenticator, as it calls itself; all zero: it does not say")

    @classmethod
    def of(cls, passkey: Passkey) -> Self:
        """The passkey as its owner sees it."""
        return cls(
            id=passkey.id,
            name=passkey.name,
            created_at=passkey.created_at,
            last_used_at=passkey.last_used_at,
            synced=passkey.backup_eligible,
            discoverable=passkey.discoverable,
            verifies_user=passkey.uv_initialized,
            aaguid=passkey.aaguid,
        )


class PasskeyAddedOut(BaseModel):
    """The new passkey; and the session's access token, or what a login answers where an attempt was finished."""

    passkey: PasskeyOut
    tokens: LoginOut | ProofOut


class LoginOptionsIn(Body):
    """Who wants to sign in by passkey: nothing for whoever the device knows, a name, or a login that was begun."""

    attempt: Attempt | None = None
    username: Identifier | None = Field(None, description="Username or address, for passkeys that can't be found without")

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        if self.attempt is not None and self.username is not None:
            raise PydanticCustomError("one_at_most", "Give attempt or username, not both")
        return self


NOBODY_NAMED = LoginOptionsIn(username=None)


class LoginOptionsOut(OptionsOut):
    """What to ask the browser for."""

    request: str | None = Field(
        description="Stands for whoever asked: send it along with the credential. Browsers keep it as a cookie by themselves."
        " null for a login that was begun, whose attempt is sent instead"
    )


class LoginByPasskeyIn(Body):
    """What the browser made of the options."""

    credential: AssertedCredential
    attempt: Attempt | None = None
    request: Token | None = Field(None, description="`request` of the answer with the options")
    device: Device | None = Field(None, description="`device` of an earlier login: then this one is no news to the owner")
    remember_device: bool = Field(False, description="With attempt: do not ask this browser for the second factor for 30 days")
    transport: Transport = "body"
