"""A person of whom there is a row in every table that can hold one; leaving; what is left."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response
from sqlalchemy import insert, select

from app.audit.facts import Fact
from app.audit.models import AuditEvent
from app.core.server import Server
from app.jobs import service as jobs
from app.models import (
    Base,
    BulkAction,
    BulkItem,
    DevMail,
    EmailChange,
    Invitation,
    LoginAttempt,
    MfaRequirement,
    PendingRegistration,
    RecoveryCode,
    RememberedDevice,
    Ticket,
    TotpFactor,
    WebhookAttempt,
    WebhookDelivery,
)
from tests.mail.postman import Postman, rows_of
from tests.support import api

WEEK = timedelta(days=7)
ADDRESS, AGENT = "203.0.113.77", "Netscape-Seldom/4.0 (OS/2 Warp)"
NAME = "Zsófia Öztürk-Ng"


@dataclass(frozen=True)
class Someone:
    """A person, and every text by which one could tell that it was this one."""

    user: api.User
    marks: tuple[str, ...]

    @property
    def id(self) -> UUID:
        return UUID(self.user.id)

    @property
    def headers(self) -> dict[str, str]:
        return self.user.headers


def person_client(app: FastAPI) -> AsyncClient:
    """The person's own device."""
    transport = ASGITransport(app=app, client=(ADDRESS, 50000))
    return AsyncClient(transport=transport, base_url="http://localhost:8000", headers={"User-Agent": AGENT})


async def someone(app: FastAPI, server: Server, postman: Postman, *, admin: bool = False) -> Someone:
    """Somebody who did everything that leaves a row."""
    async with person_client(app) as client:
        name = f"quillfeather{uuid4().hex[:6]}"
        account = await api.register(client, name, f"{name}@Mail.Example.com")
        email = str(account["email"])
        if admin:
            await api.make_admin(app, name)
        refused = await client.post("/auth/login", json={"username": name, "password": "wrong but long enough 1!"})
        assert refused.status_code == 401
        await postman.work()
        other = Postman(app, client, postman.clock, postman.smtp, postman.work)
        await other.fetch_token(email)  # a ticket
        tokens = await api.login(client, name)
        await client.post("/auth/logout", headers=api.bearer(tokens))
        tokens = await api.login(client, name)
        user = api.User(str(account["id"]), name, email, api.PASSWORD, tokens)
        changed = await client.patch("/auth/me", json={"display_name": NAME, "locale": "fr"}, headers=user.headers)
        assert changed.status_code == 200, changed.text
        former, wished = f"former.{name}@example.com", f"wished.{name}@example.com"
        await _rows(server, user, former, wished)
        await other.ask(email)  # a job that waits
        # A try at the password that is not forgotten yet.
        client.cookies.clear()  # by which the device would be known, and its tries counted apart
        assert (await client.post("/auth/login", json={"email": email, "password": "nor is this 1!"})).status_code == 401
    return Someone(user, (name, NAME, ADDRESS, AGENT))


async def _rows(server: Server, user: api.User, former: str, wished: str) -> None:
    """Rows that other features write, as they do."""
    now, user_id = server.clock(), UUID(user.id)
    key = user.email.lower()
    soon = now + timedelta(days=30)
    change = uuid4()
    async with server.database.write() as db:
        db.add(
            EmailChange(
                id=change,
                user_id=user_id,
                epoch=0,
                old_email=former,
                old_email_key=former,
                new_email=wished,
                requested_at=now,
                forget_at=soon,
            )
        )
        ticket = {"purpose": "email-undo", "subject_id": change, "address": former, "created_at": now, "expires_at": soon}
        await db.execute(insert(Ticket).values(id=uuid4(), **ticket))
        invited = {"role": "user", "created_at": now, "expires_at": soon}
        await db.execute(insert(Invitation).values(id=uuid4(), email=user.email, email_key=key, invited_by=None, **invited))
        db.add(
            PendingRegistration(
                id=uuid4(),
                username=f"{user.username[:20]}2",
                username_key=f"{user.username[:20]}2",
                email=user.email,
                email_key=key,
                password_hash="$2b$04$" + "." * 53,
                scheme="bcrypt/04",
                created_at=now,
                reserved_until=soon,
            )
        )
        for recipient in (user.email, former):
            db.add(DevMail(id=uuid4(), sent_at=now, recipient=recipient, subject="Hello", text=user.username, html=user.username))
        digest, life = bytes(32), {"created_at": now, "expires_at": soon}
        owed = {"owed": "mfa_required", "amr": "pwd", "epoch": 0, "tries": 1}
        db.add(LoginAttempt(id=uuid4(), user_id=user_id, digest=digest, **owed, **life))
        db.add(RememberedDevice(id=uuid4(), user_id=user_id, user_agent=AGENT, **life))
        db.add(TotpFactor(id=uuid4(), user_id=user_id, secret_sealed=digest, created_at=now, last_step=0))  # not confirmed
        db.add(RecoveryCode(id=uuid4(), user_id=user_id, digest=digest, created_at=now))
        bulk = uuid4()
        begun = {"created_at": now, "moved_at": now, "total": 1, "started_by": user_id, "acting_id": user_id, "acting_epoch": 0}
        db.add(BulkAction(id=bulk, action="disable", state="stopped", filter={"beginning": user.username}, **begun))
        db.add(BulkItem(bulk_id=bulk, user_id=user_id))
        db.add(MfaRequirement(user_id=user_id, grace_ends_at=soon))
        event = await db.scalar(select(AuditEvent.id).where(AuditEvent.subject_id == user_id).limit(1))
        told, sent = uuid4(), {"type": "user.registered", "body": f'{{"subject_id":"{user_id}"}}', "state": "delivered"}
        moments = {"created_at": now, "due_at": now, "settled_at": now}
        db.add(WebhookDelivery(id=told, endpoint_id=uuid4(), event_id=event, tries=1, **sent, **moments))
        db.add(WebhookAttempt(delivery_id=told, at=now, milliseconds=1, status=200, answer=f"welcome {user.username}"))
        await jobs.enqueue(db, "mail", {"template": "password-changed", "to": former, "values": {}}, soon)


async def as_actor(server: Server, who: Someone) -> None:
    """Something the person did to somebody else, as an admin; and something an admin did to the person."""
    here = {"at": server.clock(), "request_id": "r1", "session_id": None}
    theirs = {"address": ADDRESS, "user_agent": AGENT, "actor_id": who.id}
    admins = {"address": "198.51.100.9", "user_agent": "Admin/1", "actor_id": uuid4(), "subject_id": who.id}
    facts: list[dict[str, Any]] = [
        {"fact": Fact.ROLE_CHANGED, **theirs, "subject_id": uuid4(), "data": {"before": "user", "after": "admin"}},
        {"fact": Fact.USER_DELETED, **theirs, "subject_id": None, "data": {"hint": who.user.username}},
        {"fact": Fact.STATUS_CHANGED, **admins, "data": {"before": True, "after": False}},
    ]
    async with server.database.write() as db:
        await db.execute(insert(AuditEvent), [here | fact for fact in facts])


async def leave(client: AsyncClient, headers: dict[str, str]) -> Response:
    return await client.delete("/auth/me", headers=headers)


async def left(client: AsyncClient, headers: dict[str, str]) -> datetime:
    """Leave; when it will be erased."""
    answer = await leave(client, headers)
    assert answer.status_code == 202, answer.text
    return datetime.fromisoformat(answer.json()["erased_at"])


async def everything(server: Server) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    return {name: await rows_of(server, name) for name in Base.metadata.tables}


async def audit_spine(server: Server) -> list[tuple[Any, ...]]:
    """What of the audit log never changes, in order."""
    rows = sorted(await rows_of(server, "audit_events"), key=lambda row: int(row["id"]))
    names = ("id", "at", "fact", "actor_id", "subject_id", "session_id", "request_id")
    return [tuple(row[name] for name in names) for row in rows]


Work = Callable[[], Awaitable[int]]
