"""Passwords over the wire."""

from app.auth.schemas import Transport
from app.core.wire import Body, Secret, Token
from app.users.names import Email


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
