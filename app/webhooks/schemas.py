"""Webhooks over the wire."""

import uuid
from datetime import datetime
from typing import Annotated, Literal, cast

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.audit.facts import Fact
from app.core.wire import Body, plain_text
from app.webhooks.destinations import MOST_CHARACTERS
from app.webhooks.models import WebhookAttempt, WebhookDelivery
from app.webhooks.service import Changes, Detail, Wanted

MOST_HOURS = 168
State = Literal["waiting", "delivered", "dead"]
Stage = Annotated[State | None, Query(description="Only deliveries in this state")]
Url = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, description="Where to, by https")]
Description = Annotated[str, Field(max_length=100), AfterValidator(plain_text)]
Facts = Annotated[
    list[Annotated[Fact, Field(strict=False)]],
    Field(min_length=1, max_length=len(Fact), description="Which events it is told of, as in the audit log"),
]


class WebhookIn(Body):
    """A new endpoint."""

    url: Url
    description: Description = ""
    facts: Facts

    def wanted(self) -> Wanted:
        """As the service has it."""
        return Wanted(self.url, self.description, tuple(self.facts))


class ChangeWebhookIn(Body):
    """What is to be different; what is not named, or null, stays."""

    url: Url | None = None
    description: Description | None = None
    facts: Facts | None = None
    enabled: bool | None = None

    def changes(self) -> Changes:
        """As the service has it."""
        facts = None if self.facts is None else tuple(self.facts)
        return Changes(self.url, self.description, facts, self.enabled)


class RotateSecretIn(Body):
    """How long the secret of before signs beside the new one."""

    overlap_hours: int = Field(24, ge=0, le=MOST_HOURS, description="0: it may be known to somebody, and signs no more")


class WebhookOut(BaseModel):
    """An endpoint, without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    url: str
    description: str
    facts: list[str]
    created_at: datetime
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str | None = Field(description="`by_hand`, `gone` (it answered 410), `failing` (for three days)")
    failing_since: datetime | None = Field(description="The first failure since it last answered 2xx")
    old_until: datetime | None = Field(description="Until when the secret of before signs too")


class WebhookSecretOut(WebhookOut):
    """An endpoint with its new secret, which is never shown again."""

    secret: str


class WebhooksOut(BaseModel):
    """Every endpoint, oldest first."""

    items: list[WebhookOut]


class AttemptOut(BaseModel):
    """One attempt, and what came of it."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    milliseconds: int
    status: int | None = Field(description="Of the answer; null: there was none")
    error: str | None = Field(
        description="Why not: `refused_address`, `timeout`, `no_answer`, `no_secret` (sealed under another SECRET_KEY), `failed`"
    )
    answer: str = Field(description="How the answer's body begins, at most 2048 characters")


class DeliveryOut(BaseModel):
    """An event on its way to an endpoint."""

    id: uuid.UUID
    type: str
    event_id: int | None = Field(description="In the audit log; null: a test")
    state: State = Field(description="waiting: for its next attempt; delivered: answered 2xx; dead: given up")
    tries: int = Field(description="Attempts since it was made, or replayed")
    created_at: datetime
    due_at: datetime | None = Field(description="When the next attempt is due")
    settled_at: datetime | None
    last: AttemptOut | None = Field(description="The last attempt")

    @staticmethod
    def of(delivery: WebhookDelivery, last: WebhookAttempt | None) -> "DeliveryOut":
        """As it is shown in lists."""
        return DeliveryOut(
            id=delivery.id,
            type=delivery.type,
            event_id=delivery.event_id,
            state=cast("State", delivery.state),
            tries=delivery.tries,
            created_at=delivery.created_at,
            due_at=delivery.due_at if delivery.state == "waiting" else None,
            settled_at=delivery.settled_at,
            last=AttemptOut.model_validate(last) if last else None,
        )


class DeliveryDetailOut(DeliveryOut):
    """One, with what is sent, and every attempt."""

    body: str = Field(description="As it is sent, to the byte")
    attempts: list[AttemptOut] = Field(description="Oldest first")

    @staticmethod
    def whole(found: Detail) -> "DeliveryDetailOut":
        """As it is shown by itself."""
        last = found.attempts[-1] if found.attempts else None
        attempts = [AttemptOut.model_validate(each) for each in found.attempts]
        shown = DeliveryOut.of(found.delivery, last).model_dump()
        return DeliveryDetailOut(**shown, body=found.delivery.body, attempts=attempts)


class DeliveryPageOut(BaseModel):
    """A page of deliveries, newest first."""

    items: list[DeliveryOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for the page after; null: this was the last")
