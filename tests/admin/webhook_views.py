"""Pages of webhooks in each state that looks different: some that work, fail, are disabled; hostile names and answers."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from app.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.account.views import Visit
from tests.admin.scene import open_console
from tests.users.seeds import LONG_AGO

HOSTILE = '<img src=x onerror="alert(1)">'
PATH = "/admin/webhooks"


def _endpoint(number: int, **values: Any) -> WebhookEndpoint:
    moments = {"created_at": LONG_AGO + timedelta(seconds=number), "after_event": 0}
    named = {"url": f"https://hooks.example.com/{number}", "description": "", "facts": ["audit.pruned", "database.restored"]}
    return WebhookEndpoint(id=uuid.UUID(int=number), secret_sealed=b"", **(moments | named | values))


def _delivery(number: int, state: str, at: datetime, *attempts: dict[str, Any]) -> list[Any]:
    body = '{"type":"user.registered","timestamp":"2026-11-23T08:00:00Z","data":{"event":4711,"subject_id":null}}'
    delivery = WebhookDelivery(
        id=uuid.UUID(int=number),
        endpoint_id=uuid.UUID(int=1),
        event_id=900_000 + number,
        type="user.registered",
        body=body,
        created_at=at + timedelta(seconds=number),
        state=state,
        tries=len(attempts),
        due_at=at + timedelta(days=900),
        settled_at=None if state == "waiting" else at,
    )
    tried = [
        WebhookAttempt(delivery_id=delivery.id, at=at, milliseconds=87, answer="", status=None, error=None) for _ in attempts
    ]
    for attempt, values in zip(tried, attempts, strict=True):
        for name, value in values.items():
            setattr(attempt, name, value)
    return [delivery, *tried]


async def some(visit: Visit) -> None:
    """Four endpoints, the first with deliveries of each kind. They are made once."""
    async with visit.scene.database() as db:
        if await db.get(WebhookEndpoint, uuid.UUID(int=1)) is not None:
            return
        db.add_all(
            [
                _endpoint(1, description=HOSTILE, url="https://hooks.example.com/" + "a" * 300, failing_since=LONG_AGO),
                _endpoint(2, disabled_at=LONG_AGO, disabled_reason="gone"),
                _endpoint(3, description="\u202eright to left"),
                _endpoint(4, disabled_at=LONG_AGO, disabled_reason="failing", failing_since=LONG_AGO),
                *_delivery(1, "delivered", LONG_AGO, {"status": 200, "answer": "ok"}),
                *_delivery(2, "dead", LONG_AGO, {"error": "timeout"}, {"status": 500, "answer": HOSTILE + "x" * 400}),
                *_delivery(3, "waiting", LONG_AGO, {"error": "refused_address"}),
            ]
        )


async def webhooks(visit: Visit) -> None:
    await some(visit)
    await open_console(visit.scene, visit.page, path=PATH)


async def webhook(visit: Visit) -> None:
    await some(visit)
    await open_console(visit.scene, visit.page, path=f"{PATH}/{uuid.UUID(int=1)}")


async def webhook_read_only(visit: Visit) -> None:
    await some(visit)
    await open_console(visit.scene, visit.page, "auditor", path=f"{PATH}/{uuid.UUID(int=2)}")


async def webhook_delivery(visit: Visit) -> None:
    await some(visit)
    await open_console(visit.scene, visit.page, path=f"{PATH}/{uuid.UUID(int=1)}/deliveries/{uuid.UUID(int=2)}")


async def webhook_new(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path=f"{PATH}/new")


async def webhook_refused(visit: Visit) -> None:
    await webhook_new(visit)
    await visit.page.get_by_label("Address", exact=True).fill("https://10.0.0.1/hook")
    await visit.page.get_by_role("button", name="Add a webhook").click()
    await visit.page.get_by_role("alert").wait_for()


async def webhook_secret(visit: Visit) -> None:
    await some(visit)
    await open_console(visit.scene, visit.page, path=f"{PATH}/{uuid.UUID(int=3)}")
    await visit.page.get_by_role("button", name="Replace its secret").click()
    await visit.page.get_by_role("heading", name="The webhook's secret").wait_for()


VIEWS = [webhooks, webhook, webhook_read_only, webhook_delivery, webhook_new, webhook_refused, webhook_secret]
