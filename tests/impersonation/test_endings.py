"""Every way in which the session somebody acts from ends, and what it was opened for with it: at once, everywhere."""

import uuid
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select, text

from app.auth.models import is_held_up
from app.core.server import Server
from app.models import Session
from tests.auth.scene import end_in_database, events, execute, refresh, session_row, two_clients
from tests.impersonation.scene import Acting, act, ask, parent_of, somebody
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.redis import RedisServer

Ending = Callable[[AsyncClient, Server, Acting, api.User], Awaitable[object]]
MORE = "quite another 1!"


async def _logout(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.post("/auth/logout", headers=acting.staff.headers)


async def _logout_by_refresh_token(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.post("/auth/logout", json={"refresh_token": acting.staff.tokens["refresh_token"]})


async def _logout_all(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.post("/auth/logout-all", headers=acting.staff.headers)


async def _revoked(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    other = api.bearer(await api.login(client, acting.staff.username))
    return await client.delete(f"/auth/sessions/{parent_of(acting)}", headers=other)


async def _others_revoked(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.delete("/auth/sessions", headers=api.bearer(await api.login(client, acting.staff.username)))


async def _new_password(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    body = {"current_password": acting.staff.password, "new_password": MORE}
    return await client.post("/auth/change-password", json=body, headers=acting.staff.headers)


async def _stolen(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    assert (await refresh(client, acting.staff.tokens)).status_code == 200
    return await refresh(client, acting.staff.tokens, agent="a thief")


async def _left(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.delete("/auth/me", headers=acting.staff.headers)


async def _disabled(client: AsyncClient, _server: Server, acting: Acting, boss: api.User) -> object:
    return await client.put(f"/users/{acting.staff.id}/status", json={"active": False}, headers=boss.headers)


async def _other_role(client: AsyncClient, _server: Server, acting: Acting, boss: api.User) -> object:
    return await client.put(f"/users/{acting.staff.id}/role", json={"role": "user"}, headers=boss.headers)


async def _deleted(client: AsyncClient, _server: Server, acting: Acting, boss: api.User) -> object:
    return await client.delete(f"/users/{acting.staff.id}", headers=boss.headers)


async def _person_disabled(client: AsyncClient, _server: Server, acting: Acting, boss: api.User) -> object:
    return await client.put(f"/users/{acting.person.id}/status", json={"active": False}, headers=boss.headers)


async def _person_raised(client: AsyncClient, _server: Server, acting: Acting, boss: api.User) -> object:
    return await client.put(f"/users/{acting.person.id}/role", json={"role": "admin"}, headers=boss.headers)


async def _person_deleted(client: AsyncClient, _server: Server, acting: Acting, boss: api.User) -> object:
    return await client.delete(f"/users/{acting.person.id}", headers=boss.headers)


async def _person_leaves(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.delete("/auth/me", headers=acting.person.headers)


async def _person_logs_out_everywhere(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.post("/auth/logout-all", headers=acting.person.headers)


async def _person_new_password(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    body = {"current_password": acting.person.password, "new_password": MORE}
    return await client.post("/auth/change-password", json=body, headers=acting.person.headers)


async def _itself(client: AsyncClient, _server: Server, acting: Acting, _boss: api.User) -> object:
    return await client.post("/auth/logout", headers=acting.headers)


async def _another_begun(client: AsyncClient, server: Server, acting: Acting, _boss: api.User) -> object:
    third = await somebody(server, client, "user")
    return await ask(client, acting.staff.headers, third.id)


async def _row_of_parent(_client: AsyncClient, server: Server, acting: Acting, _boss: api.User) -> object:
    await end_in_database(server, uuid.UUID(parent_of(acting)), server.clock())
    return None


async def _row_of_parent_gone(_client: AsyncClient, server: Server, acting: Acting, _boss: api.User) -> object:
    kept = f"%{acting.answer['session_id'].replace('-', '')}%"
    return await execute(server, "DELETE FROM sessions WHERE replace(CAST(id AS text), '-', '') NOT LIKE :kept", kept=kept)


async def _row_of_staff_disabled(_client: AsyncClient, server: Server, acting: Acting, _boss: api.User) -> object:
    name = acting.staff.username
    return await execute(server, "UPDATE users SET disabled_at = created_at WHERE username = :name", name=name)


async def _row_of_staff_gone(_client: AsyncClient, server: Server, acting: Acting, _boss: api.User) -> object:
    return await execute(server, "DELETE FROM users WHERE username = :name", name=acting.staff.username)


ENDINGS: list[Ending] = [
    value
    for name, value in list(globals().items())
    if name.startswith("_") and callable(value) and getattr(value, "__module__", "") == __name__
]


@pytest.mark.promise("P2")
@pytest.mark.parametrize("end", ENDINGS, ids=lambda each: each.__name__.strip("_"))
async def test_it_is_over_at_once_on_every_replica(
    app: FastAPI, client: AsyncClient, server: Server, env: dict[str, str], clock: TravellingClock, end: Ending
) -> None:
    boss = await api.new_admin(app, client)
    acting = await act(server, client)
    async with two_clients(app, env, clock) as both:
        for each in both:
            assert (await each.get("/auth/me", headers=acting.headers)).status_code == 200
        await end(client, server, acting, boss)
        for each in both:
            for path in ("/auth/me", "/auth/verify", "/auth/sessions"):
                answer = await each.get(path, headers=acting.headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), path
            assert (await ask(each, acting.headers, acting.person.id)).status_code == 401


def test_there_are_as_many_endings_as_are_written_above() -> None:
    assert len(ENDINGS) == 23


async def test_half_an_hour_is_all(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    acting = await act(server, client)
    clock.advance(seconds=1795)
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 200
    clock.advance(seconds=5)
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 401
    again = await refresh(client, acting.staff.tokens)
    assert again.status_code == 200
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 401


async def test_stopping_ends_nothing_else(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    assert (await client.post("/auth/logout", headers=acting.headers)).status_code == 204
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 401
    for own in (acting.staff, acting.person):
        assert (await client.get("/auth/me", headers=own.headers)).status_code == 200
    (ended,) = await events(server, "impersonation.ended")
    assert (ended.actor_id, ended.subject_id) == (uuid.UUID(acting.staff.id), uuid.UUID(acting.person.id))
    assert (ended.session_id, ended.data["reason"]) == (uuid.UUID(acting.answer["session_id"]), "logout")
    assert (await client.post("/auth/logout", headers=acting.headers)).status_code == 401
    assert len(await events(server, "impersonation.ended")) == 1


async def test_a_new_one_ends_the_one_before_and_says_so(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    assert (await ask(client, acting.staff.headers, acting.person.id)).status_code == 201
    (ended,) = await events(server, "impersonation.ended")
    assert (str(ended.session_id), ended.data["reason"]) == (acting.answer["session_id"], "replaced")
    other = api.bearer(await api.login(client, acting.staff.username))
    third = await ask(client, other, acting.person.id)  # from another session of the same person: beside it
    assert third.status_code == 201
    assert len(await events(server, "impersonation.ended")) == 1


async def test_a_dead_one_is_not_listed(client: AsyncClient, server: Server) -> None:
    acting = await act(server, client)
    await client.post("/auth/logout", headers=acting.staff.headers)
    row = await session_row(server, uuid.UUID(acting.answer["session_id"]))
    assert row.ended_at is None  # its own row does not say it: the parent's does
    listed = (await client.get("/auth/sessions", headers=acting.person.headers)).json()
    assert [each["impersonated"] for each in listed] == [False]
    async with server.database.read() as db:
        alive = set((await db.scalars(select(Session.id).where(is_held_up(server.clock())))).all())
    assert row.id not in alive
    assert len(alive) == 1


async def test_redis_decides_nothing(client: AsyncClient, server: Server, redis_server: RedisServer) -> None:
    acting = await act(server, client)
    redis_server.flush()
    await client.post("/auth/logout", headers=acting.staff.headers)
    redis_server.flush()
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 401


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose check does not ask for the parent."""
    from app.infra import sessions_postgres, sessions_sqlite

    cut = sessions_sqlite.FIND_LIVE.partition("AND (s.parent_id")[0]
    monkeypatch.setattr(sessions_sqlite, "FIND_LIVE", cut + "AND ?2 = ?2")
    whole = sessions_postgres.PostgresSessionChecks.statement
    monkeypatch.setattr(sessions_postgres.PostgresSessionChecks, "statement", whole.partition(b"AND (s.parent_id")[0])


async def test_a_check_that_does_not_ask_for_the_parent_would_be_noticed(
    broken: None, client: AsyncClient, server: Server
) -> None:
    """The control."""
    acting = await act(server, client)
    await client.post("/auth/logout", headers=acting.staff.headers)
    assert (await client.get("/auth/me", headers=acting.headers)).status_code == 200


async def test_whoever_does_not_act_as_another_pays_nothing(client: AsyncClient, server: Server) -> None:
    """The plan: of an ordinary session the question for a parent is there, and never put."""
    from app.infra.sessions_postgres import PostgresSessionChecks
    from app.infra.sessions_sqlite import FIND_LIVE

    user, acting = await api.new_user(client), await act(server, client)
    sids = [parent_of(Acting(user, user, {})), acting.answer["session_id"]]
    async with server.database.read() as db:
        connection = await db.connection()
        if connection.dialect.name == "postgresql":
            plans = []
            for sid in sids:
                statement = PostgresSessionChecks.statement.decode().replace("$1::uuid[]", f"ARRAY['{sid}'::uuid]")
                statement = statement.replace("$2::timestamptz", "now()").replace(":", "\\:")
                rows = await connection.execute(text(f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF) {statement}"))
                plans.append("\n".join(rows.scalars()))
            own, others = plans
            assert own.count("SubPlan") == others.count("SubPlan") >= 1
            assert (own.count("never executed") >= 3, others.count("never executed")) == (True, 0), own + others
            assert "hashed" not in own
        else:
            raw = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {FIND_LIVE}", ("[]", "2026"))
            steps = [str(row.detail) for row in raw]
            assert steps[:1] == ["SCAN asked VIRTUAL TABLE INDEX 1:"]
            assert sum(step.startswith("CORRELATED SCALAR SUBQUERY") for step in steps) == 1
            assert not any(step.startswith("SCAN") for step in steps[1:]), steps
