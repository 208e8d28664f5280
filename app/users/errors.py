"""What can be wrong with an account or a change of it."""

from app.core.errors import AppError, FieldError, Invalid, NotFound


class UsernameTaken(AppError):
    """Somebody has the name, in whatever case."""

    code, status, title = "username_taken", 409, "This username is taken"


class EmailTaken(AppError):
    """Somebody registered with the address."""

    code, status, title = "email_taken", 409, "This address is already registered"


class UsernameReserved(Invalid):
    """A name that people might take for ours."""

    def __init__(self) -> None:
        super().__init__(errors=[FieldError(("body", "username"), "username_reserved", "This username is reserved")])


class UserNotFound(NotFound):
    """No such account."""

    title = "No such user"


class AccountClosed(AppError):
    """Nothing can be done with it."""

    code, status, title = "account_closed", 409, "The account is disabled, or its owner left"


class LastAdmin(AppError):
    """Nobody could administer the server any more; the record of the refusal is kept."""

    keeps = True
    code, status, title = "last_admin", 409, "The last active admin can't be demoted, disabled or deleted, nor leave"
