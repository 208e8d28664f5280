"""What can be wrong with signing in."""

from app.core.errors import AppError, FieldError, Forbidden, Invalid, NotFound, TokenInvalid, TooManyRequests, Unauthenticated


class LoginFailed(Unauthenticated):
    """Unknown account, wrong password, disabled, stopped: one answer. Its trace is kept."""

    code, title, keeps = "login_failed", "Username or password is wrong", True

    def __init__(self) -> None:
        super().__init__("Check both and try again.")


class RegistrationClosed(Forbidden):
    """Nobody registers here by themselves (REGISTRATION)."""

    code, title = "registration_closed", "Registration is by invitation only, or closed"


class TooManyTries(TooManyRequests):
    """Too many failed logins in a row for what was typed, known or not."""

    code, title = "too_many_tries", "Too many failed tries; wait a moment"


class SessionGone(TokenInvalid):
    """The token's session had ended before; what the transaction noted is kept, so that Redis is told again."""

    keeps = True


class RefreshRefused(TokenInvalid):
    """A refresh token that was spent, or is newer than the database: the session ends, and that is kept."""

    keeps = True


class SessionNotFound(NotFound):
    """No such session of one's own."""

    title = "No such session"


class PasswordWrong(AppError):
    """The current password is not the one given; the try is kept."""

    code, status, title, keeps = "password_wrong", 400, "The current password is wrong", True


class AttemptInvalid(Unauthenticated):
    """The login that was begun can't be finished: unknown, run out, spent, tried too often, another account by now."""

    code, title = "attempt_invalid", "This sign-in can't go on"

    def __init__(self) -> None:
        super().__init__("Start again.")


class ProofWrong(AppError):
    """The second proof is not right, or was used before; the try is kept."""

    code, status, title, keeps = "proof_wrong", 400, "The second factor was not accepted", True


class LastFactor(AppError):
    """The account must have a second factor (MFA): the last one stays until there is another."""

    code, status, title = "last_factor", 409, "A second factor is required here; add another one first"


class PasswordRejected(Invalid):
    """The new password breaks a rule; `errors` says which."""

    code, title = "password_rejected", "Choose another password"

    def __init__(self, field: str, violations: list[tuple[str, str]]) -> None:
        super().__init__(errors=[FieldError(("body", field), code, detail) for code, detail in violations])
