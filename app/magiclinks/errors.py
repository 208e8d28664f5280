"""What can be wrong with signing in by mail."""

from app.core.errors import AppError


class OtherBrowser(AppError):
    """A good link or code, but in another browser than asked for it: the person must say that it is meant."""

    code, status, title = "other_browser", 403, "This link was asked for in another browser"

    def __init__(self) -> None:
        super().__init__("Use it there, or confirm that you want to sign in here.")
