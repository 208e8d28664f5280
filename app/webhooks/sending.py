"""Sending: the deliveries of one endpoint that are due, a few at a time, by one worker at a time.

A job is a turn with one endpoint, so one that hangs takes one slot of the lane, however much waits for it. A worker that is
killed between an attempt and its record leaves the delivery due: it is sent again, with the same `webhook-id`, once its lease
is over.
"""

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.facts import Fact
from app.core.client import Client
from app.core.clock import Clock
from app.core.crypto import random_fraction, random_id
from app.core.edge import frames
from app.core.ports import OutboundRefused
from app.database import Database
from app.jobs import service as jobs
from app.jobs.sockets import Later, Work
from app.users import selection
from app.webhooks import repository, service
from app.webhooks.deps import WebhookKit
from app.webhooks.messages import message_id
from app.webhooks.models import WebhookDelivery, WebhookEndpoint

log = structlog.get_logger()
AT_ONCE = 4
TURN_SECONDS = 15.0  # with the last attempts behind it well within a try of the worker
LEASE = timedelta(seconds=60)
BUSY = timedelta(seconds=2)
RESTS = timedelta(seconds=5)  # an endpoint where nothing succeeded, before what else waits for it is tried
# After each failure; behind the last one it is given up, some three days after the first.
DELAYS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800)) + tuple(
    timedelta(hours=hours) for hours in (1, 2, 4, 8, 12, 20, 24)
)
DISABLED_AFTER = timedelta(days=3)  # of failures without one success
MOST_KEPT = 2048
GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: a status, or an error in its place."""

    status: int | None
    error: str | None
    answer: str
    at: datetime
    milliseconds: int

    @property
    def is_delivered(self) -> bool:
        """Only 2xx is: a redirect is a failure like any other."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """The handler of jobs of kind "webhook"."""

    def __init__(self, database: Database, kit: WebhookKit, clock: Clock) -> None:
        self._database = database
        self._kit = kit
        self._clock = clock

    async def run(self, work: Work) -> None:
        """A turn with an endpoint; may be begun again for one that was done.

        Raises:
            Later: more waits for it.
        """
        endpoint_id, lease, now = uuid.UUID(work.payload["endpoint"]), random_id(), self._clock()
        async with self._database.write() as db:
            endpoint = await repository.take_endpoint(db, endpoint_id, lease, now, now + LEASE)
            due = None if endpoint else await repository.next_due(db, endpoint_id)
        if endpoint is not None:
            again = await self._take_turn(endpoint)
            async with self._database.write() as db:
                await repository.release_endpoint(db, endpoint_id, lease)
                due = await repository.next_due(db, endpoint_id)
        else:
            again = now + BUSY
        if due is not None:
            await self._go_on(endpoint_id, max(due, again))

    async def _go_on(self, endpoint_id: uuid.UUID, at: datetime) -> None:
        """By one job: another one of this endpoint that waits already, or else this one."""
        async with self._database.write() as db:
            if await jobs.hasten(db, service.KIND, "endpoint", str(endpoint_id), at, self._clock()):
                return
        raise Later(at)

    async def _take_turn(self, endpoint: WebhookEndpoint) -> datetime:
        """Send what is due until the turn is over; from when on the endpoint may be called again."""
        clock = asyncio.get_running_loop().time
        ends = clock() + TURN_SECONDS
        while clock() < ends:
            async with self._database.read() as db:
                now = self._clock()
                found = await repository.find_endpoint(db, endpoint.id)
                due = await repository.list_due(db, endpoint.id, now, AT_ONCE)
            if found is None or not found.enabled or not due:
                return now
            outcomes = await asyncio.gather(*(self._deliver(found, each) for each in due))
            if not any(outcomes):
                return self._clock() + RESTS
        return self._clock()

    async def _deliver(self, endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> bool:
        outcome = await self._attempt(endpoint, delivery)
        async with self._database.write() as db:
            await _record(db, delivery, outcome)
        return outcome.is_delivered

    async def _attempt(self, endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> Outcome:
        now, clock = self._clock(), asyncio.get_running_loop().time
        body, began = delivery.body.encode(), clock()
        status, error, answer = None, None, ""
        signed = self._kit.signer.headers(endpoint, message_id(delivery.id), body, now)
        if signed is None:
            error = "no_secret"
        else:
            headers = {"content-type": "application/json", "user-agent": "Authkeep-Webhooks", **signed}
            try:
                answered = await self._kit.outbound.post(endpoint.url, headers, body)
                status, answer = answered.status, answered.body.replace("\x00", "\ufffd")[:MOST_KEPT]
            except OutboundRefused:
                error = "refused_address"
            except TimeoutError:
                error = "timeout"
            except ConnectionError:
                error = "no_answer"
            except Exception as unforeseen:  # one delivery must not hold up all others of its endpoint
                log.warning("webhooks.attempt_failed", error=type(unforeseen).__name__, at=frames(unforeseen))
                error = "failed"
        return Outcome(status, error, answer, now, int((clock() - began) * 1000))


async def _record(db: AsyncSession, delivery: WebhookDelivery, outcome: Outcome) -> None:
    """What came of it, and what becomes of the delivery and its endpoint; nothing if those are gone."""
    endpoint = await repository.lock_endpoint(db, delivery.endpoint_id)
    if endpoint is None or await repository.find_delivery(db, endpoint.id, delivery.id) is None:
        return
    answer = "" if await _is_of_somebody_gone(db, delivery) else outcome.answer  # which may hold what they took with them
    values = {"status": outcome.status, "error": outcome.error, "answer": answer}
    moments = {"at": outcome.at, "milliseconds": outcome.milliseconds}
    await repository.add_attempt(db, {"delivery_id": delivery.id, **values, **moments})
    if outcome.is_delivered:
        await repository.note_tried(db, delivery, state=repository.DELIVERED, settled_at=outcome.at)
        endpoint.failing_since = None
        return
    if delivery.tries < len(DELAYS):
        delay = DELAYS[delivery.tries] * (0.9 + random_fraction() / 10)
        await repository.note_tried(db, delivery, due_at=outcome.at + delay)
    else:
        await repository.note_tried(db, delivery, state=repository.DEAD, settled_at=outcome.at)
    endpoint.failing_since = endpoint.failing_since or outcome.at
    if outcome.status == GONE:
        await _disable(db, endpoint, "gone", outcome.at)
    elif outcome.at - endpoint.failing_since > DISABLED_AFTER:
        await _disable(db, endpoint, "failing", outcome.at)
    elif delivery.tries >= len(DELAYS) and await repository.next_due(db, endpoint.id) is None:
        endpoint.failing_since = None  # nothing fails any more: what comes in weeks has its own three days


async def _is_of_somebody_gone(db: AsyncSession, delivery: WebhookDelivery) -> bool:
    about = json.loads(delivery.body)["data"]
    people = {uuid.UUID(about[name]) for name in ("subject_id", "actor_id") if about.get(name)}
    return len(await selection.list_by_ids(db, people)) < len(people)


async def _disable(db: AsyncSession, endpoint: WebhookEndpoint, reason: str, now: datetime) -> None:
    if not endpoint.enabled:
        return
    endpoint.disabled_at, endpoint.disabled_reason = now, reason
    client = Client(address="", user_agent="", request_id="")
    await audit.record(db, Fact.WEBHOOK_DISABLED, client, now, webhook=str(endpoint.id), reason=reason)
