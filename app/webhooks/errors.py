"""What can be wrong with a webhook."""

from app.core.errors import AppError, NotFound


class WebhookNotFound(NotFound):
    """No such endpoint."""

    title = "No such webhook"


class DeliveryNotFound(NotFound):
    """No such delivery of this endpoint, or it was tidied away."""

    title = "No such delivery"


class TooManyWebhooks(AppError):
    """As many as a server has."""

    code, status, title = "too_many_webhooks", 409, "There is no room for another webhook; remove one first"


class WebhookDisabled(AppError):
    """Nothing is sent to it."""

    code, status, title = "webhook_disabled", 409, "The webhook is disabled; enable it first"
