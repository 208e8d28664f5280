"""What can be wrong with a passkey."""

from app.core.errors import AppError, NotFound, Unauthenticated


class PasskeyRefused(Unauthenticated):
    """Unknown, of somebody else, for another challenge, signed wrongly: one answer. Its trace is kept."""

    code, title, keeps = "passkey_refused", "This passkey was not accepted", True

    def __init__(self) -> None:
        super().__init__("Try again, or use another way to sign in.")


class PasskeyNotAdded(AppError):
    """What the authenticator made does not belong to this request, or can't be used; the challenge is spent."""

    code, status, title, keeps = "passkey_not_added", 400, "This passkey could not be added", True

    def __init__(self) -> None:
        super().__init__("Begin again.")


class PasskeyNotFound(NotFound):
    """No such passkey of one's own."""

    title = "No such passkey"


class TooManyPasskeys(AppError):
    """The account has as many as it may have."""

    code, status, title = "too_many_passkeys", 409, "Remove a passkey before you add another"


class PasskeysNeeded(AppError):
    """An account without a password keeps two passkeys that verify their user, or one and recovery codes."""

    code, status, title = "passkeys_needed", 409, "Without a password, you need two passkeys, or one and recovery codes"


class PasswordNotFound(NotFound):
    """The account has none."""

    title = "There is no password"
