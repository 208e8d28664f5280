"""Passwords over the wire."""

from pydantic import BaseModel, Field

from app.auth.schemas import Transport
from app.core.permissions import Role
from app.core.wire import Body, Secret, Token
from app.users.names import Email, Locale, Username


class ForgotPasswordIn(Body):
    """The address to send a reset link to."""

    email: Email


class ResetPasswordIn(Body):
    """The token of a reset link, and the new password."""

    token: Token
    new_password: Secret


class ChangePasswordIn(Body):
    """The password now, and the new one."""

    current_password: Secret
    new_password: Secret
    transport: Transport = "body"


class AcceptedOut(Body):
    """The one answer to every request for a reset."""

    detail: str = "If an account has this address, a mail is on its way."


class CreateUserIn(Body):
    """An account to make."""

    username: Username
    email: Email
    role: Role = Field(Role.USER, strict=False)
    password: Secret | None = Field(None, description="Left out: the person is mailed a link to choose one")
    locale: Locale | None = Field(None, description="Language of mails and pages")


class ResetSentOut(BaseModel):
    """The mail is queued."""

    detail: str = "A mail with a reset link is on its way."
