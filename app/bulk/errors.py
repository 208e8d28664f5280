"""What can be wrong with a bulk action."""

from app.core.errors import AppError, NotFound


class BulkNotFound(NotFound):
    """No such bulk action, or it was tidied away."""

    title = "No such bulk action"


class BulkBusy(AppError):
    """As many bulk actions as may run side by side do."""

    code, status, title = "bulk_busy", 409, "Too many bulk actions are under way; wait until one has ended, or stop one"


class BulkNotStoppable(AppError):
    """Nothing of it is under way."""

    code, status, title = "bulk_not_running", 409, "The bulk action is not under way"


class BulkNotResumable(AppError):
    """It is under way, or all of it is done."""

    code, status, title = "bulk_not_stopped", 409, "The bulk action is not stopped"
