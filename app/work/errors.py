"""What can be wrong with a job that staff would change."""

from app.core.errors import AppError, NotFound


class JobNotFound(NotFound):
    """No such job: it may be done by now."""

    title = "No such job"


class JobRunning(AppError):
    """A worker is at it this moment."""

    code, status, title = "job_running", 409, "The job runs at this moment; ask again when it has ended"
