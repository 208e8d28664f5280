"""What a receiver is sent: the JSON of an event. It names people by ids alone, and holds no secret."""

import json
import uuid
from datetime import datetime
from typing import Any

from app.core.crypto import new_id
from app.webhooks.models import WebhookEndpoint
from app.webhooks.repository import WAITING

TEST = "webhook.test"


def message_id(delivery_id: uuid.UUID) -> str:
    """The `webhook-id` of each attempt at a delivery."""
    return f"msg_{delivery_id.hex}"


def of_event(endpoint: WebhookEndpoint, event: Any, now: datetime) -> dict[str, Any]:
    """The delivery of a row of the audit log: no address, no user agent, nothing of what may name somebody (`personal`)."""
    data = {
        "event": event.id,
        "actor_id": _text(event.actor_id),
        "subject_id": _text(event.subject_id),
        "impersonator_id": _text(event.impersonator_id),
        "session_id": _text(event.session_id),
        "request_id": event.request_id,
        "details": event.data,
    }
    return _delivery(endpoint, event.fact, event.at, data, now) | {"event_id": event.id}


def of_test(endpoint: WebhookEndpoint, now: datetime) -> dict[str, Any]:
    """The delivery of a test: of no event."""
    return _delivery(endpoint, TEST, now, {"webhook": str(endpoint.id)}, now) | {"event_id": None}


def _delivery(endpoint: WebhookEndpoint, kind: str, at: datetime, data: dict[str, Any], now: datetime) -> dict[str, Any]:
    message = {"type": kind, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": data}
    return {
        "id": new_id(now),
        "endpoint_id": endpoint.id,
        "type": kind,
        "body": json.dumps(message, separators=(",", ":")),
        "created_at": now,
        "state": WAITING,
        "tries": 0,
        "due_at": now,
    }


def _text(value: uuid.UUID | None) -> str | None:
    return None if value is None else str(value)
