"""Why somebody can't be acted as."""

from app.core.errors import AppError, Forbidden


class NotBelow(Forbidden):
    """The account's role is the caller's own; the record of the refusal is kept."""

    title, keeps = "You can act as people whose role is below yours, and as nobody else", True


class AccountClosed(AppError):
    """The account is disabled, or its owner is about to leave: nothing can be seen there that its owner sees."""

    code, status, title = "account_closed", 409, "Nobody can use this account at the moment"
