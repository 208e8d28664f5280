"""Signing in and out over the wire."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.auth.models import Session
from app.auth.proofs import Given
from app.auth.staff import Stop
from app.core.device_names import DeviceName
from app.core.wire import Body, Identifier, Secret, Token, plain_text
from app.users.names import Email, Username
from app.users.schemas import UserOut

Transport = Annotated[
    Literal["body", "cookie"],
    Field(description="cookie: the refresh token is kept by the browser, out of scripts' reach, and is not in the answer"),
]
Device = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]
ProofCode = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(plain_text)]


class RegisterIn(Body):
    """A new account."""

    username: Username
    email: Email
    password: Secret = Field(
        description="At least 8 characters, one of them neither letter nor digit", examples=["open sesame 42!"]
    )


class RegistrationOut(BaseModel):
    """The one answer to every registration whose address has to be proved first."""

    detail: str = "A mail is on its way. Open its link or type its code to finish signing up."


class LoginIn(Body):
    """Username or address, in any case, and the password."""

    username: Identifier | None = Field(None, description="Username or address")
    email: Identifier | None = Field(None, description="Address, instead of `username`")
    password: Secret
    device: Device | None = Field(
        None, description="`device` of an earlier login: keeps strangers' failures from slowing this one"
    )

    transport: Transport = "body"

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.username is None) == (self.email is None):
            raise PydanticCustomError("one_identifier", "Give username or email, one of them")
        return self

    @property
    def identifier(self) -> str:
        """What was typed."""
        return self.username or self.email or ""


class TokensOut(BaseModel):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token: str
    refresh_token: str | None = Field(description="null where the browser keeps it, or the session itself, as a cookie")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- the type's name
    expires_in: int = Field(description="Seconds the access token lives", examples=[900])


class LoginOut(TokensOut):
    """A pair of tokens, and what makes this device known."""

    device: str = Field(description="Send it with the next login from here; void after a password change")


class OwedOut(BaseModel):
    """What a login answers with where another step is owed: no token, but an attempt that the step is given with."""

    status: Literal["mfa_required", "mfa_enrolment_required"]
    attempt: str = Field(description="Good for ten minutes and five tries")
    methods: tuple[str, ...] = Field(description="By which the step can be given", examples=[["totp", "recovery"]])


Attempt = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$", description="Of the login's answer")]


class RefreshIn(Body):
    """The refresh token of the last answer; or, with the transport `cookie` alone, the one that the browser keeps."""

    refresh_token: Token | None = None
    transport: Transport = "body"

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.refresh_token is None and self.transport == "body":
            raise PydanticCustomError("missing", "Give refresh_token, or the transport cookie")
        return self


class ReauthenticateIn(Body):
    """The password once more, and a second proof where there is a second factor; or a passkey alone."""

    password: Secret | None = None
    code: ProofCode | None = Field(None, description="Of an authenticator app")
    recovery_code: ProofCode | None = None
    credential: dict[str, Any] | None = Field(None, description="A passkey's answer (PublicKeyCredential.toJSON())")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        seconds = [each for each in (self.code, self.recovery_code, self.credential) if each is not None]
        if len(seconds) > 1 or (self.password is None and self.credential is None):
            raise PydanticCustomError("one_proof", "Give the password, with one other proof at most; or a passkey")
        return self

    def given(self) -> Given:
        """As the flow takes it."""
        for method, value in (("totp", self.code), ("recovery", self.recovery_code), ("passkey", self.credential)):
            if value is not None:
                return Given(self.password, method, value)
        return Given(self.password)


class ProofOut(BaseModel):
    """An access token whose `auth_time` is now."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- the type's name
    expires_in: int = Field(description="Seconds the access token lives", examples=[900])


class MeOut(UserOut):
    """The caller's account."""

    impersonated_by: uuid.UUID | None = Field(None, description="Only while somebody of the staff acts as this account: who does")


class LogoutIn(Body):
    """The refresh token, for when the access token has expired."""

    refresh_token: Token | None = None


class LockoutOut(BaseModel):
    """Failed tries in a row of one kind."""

    model_config = ConfigDict(from_attributes=True)

    kind: Literal["username", "email", "account", "proof", "second_factor"] = Field(
        description="Logins by that name, by that address, all by password; proofs from within a session; second factors"
    )
    failures: int
    until: datetime | None = Field(description="When the next try may be made; null: now")


class StopOut(BaseModel):
    """An account with which strangers get nowhere."""

    user_id: uuid.UUID
    username: str
    email: str
    stopped_at: datetime
    until: datetime = Field(description="When it ends by itself, if nobody tries again")

    @classmethod
    def of(cls, stop: Stop) -> Self:
        """As staff see it."""
        return cls(
            user_id=stop.user.id,
            username=stop.user.username,
            email=stop.user.email,
            stopped_at=stop.stopped_at,
            until=stop.until,
        )


class EndSessionIn(Body):
    """The token of a mail about a new device."""

    token: Token


class SessionOut(BaseModel):
    """One of the caller's sessions."""

    id: uuid.UUID
    device: str = Field(description="Browser and system of the login, as they call themselves", examples=["Firefox on Linux"])
    user_agent: str = Field(description="User agent of the login")
    address: str = Field(description="Address of the login")
    place: str | None = Field(description="About where that address is, if GEOIP_FILE is configured")
    created_at: datetime
    last_used_at: datetime = Field(description="To five minutes")
    expires_at: datetime
    current: bool = Field(description="Whether this request came by it")
    impersonated: bool = Field(description="Whether somebody of the staff acts as the caller in it")

    @classmethod
    def of(cls, session: Session, current: uuid.UUID | None, device: DeviceName, place: str | None) -> Self:
        """The session as its owner sees it."""
        return cls(
            id=session.id,
            device=str(device),
            user_agent=session.user_agent,
            address=session.address,
            place=place,
            created_at=session.created_at,
            last_used_at=session.used_at,
            expires_at=session.expires_at,
            current=session.id == current,
            impersonated=session.parent_id is not None,
        )
