"""/admin/users/{id} over HTTP: what is shown to whom, and that each act is done once, recorded, and asked for beforehand."""

import uuid

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select

from app.admin.person_acts import ACTS
from app.audit.facts import Fact
from app.audit.models import AuditEvent
from app.core.permissions import Role
from app.core.server import Server
from app.users.models import User
from tests.account.forms import Elements
from tests.admin.scene import Staff, check_desk, give_role, staff
from tests.auth.scene import events
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.users.seeds import seed, seed_row

PEOPLE = "/admin/users"
HOSTILE = "<script>alert(1)</script>\"'><b onclick=x>"


async def person(app: FastAPI) -> api.User:
    """Somebody signed in elsewhere, by the API."""
    async with client_of(app) as other:
        return await api.new_user(other)


async def ask(boss: Staff, path: str) -> dict[str, str]:
    """Open the page that asks, and take what its form would send."""
    elements = check_desk(await boss.client.get(path))
    forms = [each for each in elements.named("form") if each.get("action") == path.partition("?")[0]]
    assert len(forms) == 1, path
    named = {str(each["name"]): str(each.get("value") or "") for each in elements.named("input") if each["type"] == "hidden"}
    return {name: value for name, value in named.items() if name != "form_token"}


async def do(boss: Staff, user_id: object, act: str, query: str = "", **fields: str) -> Response:
    path = f"{PEOPLE}/{user_id}/{act}"
    given = await ask(boss, path + query)
    return await boss.form(path, **{"sure": "yes", **given, **fields})


async def row(server: Server, user_id: object) -> User | None:
    async with server.database.read() as db:
        return await db.get(User, uuid.UUID(str(user_id)))


async def facts(server: Server, user_id: object) -> list[str]:
    async with server.database.read() as db:
        query = select(AuditEvent.fact).where(AuditEvent.subject_id == uuid.UUID(str(user_id)), AuditEvent.actor_id.is_not(None))
        return list((await db.scalars(query.order_by(AuditEvent.id))).all())


async def test_a_persons_page_shows_who_they_are_where_and_what_happened(app: FastAPI, client: AsyncClient) -> None:
    boss, somebody = await staff(app, client), await person(app)
    shown = await boss.open(f"{PEOPLE}/{somebody.id}")
    elements = check_desk(shown)
    for text in (somebody.username, somebody.email, "Signed in", "127.0.0.1"):
        assert text in shown.text
    offered = {str(each["href"]).rpartition("/")[2] for each in elements.named("a")}
    assert {"disable", "role", "delete", "send-reset", "log-out", "reset-factors", "edit", "impersonate"} <= offered
    assert "enable" not in offered


async def test_each_act_is_done_and_recorded_by_who_did_it(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss, somebody = await staff(app, client), await person(app)
    for act in (
        "verify-email",
        "send-reset",
        "require-factor",
        "release-factor",
        "reset-factors",
        "log-out",
        "disable",
        "enable",
    ):
        answer = await do(boss, somebody.id, act)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, f"{PEOPLE}/{somebody.id}"), act
        check_desk(await client.get(answer.headers["location"]))
    assert (await do(boss, somebody.id, "role", role="support")).status_code == 303
    found = await row(server, somebody.id)
    assert found is not None
    assert (found.role, found.active, found.email_verified) == (Role.SUPPORT, True, True)
    seen = await facts(server, somebody.id)
    wanted = [Fact.EMAIL_VERIFIED, Fact.RESET_SENT, Fact.FACTORS_REQUIRED, Fact.FACTORS_RESET, Fact.STATUS_CHANGED]
    assert {*wanted, Fact.ROLE_CHANGED} <= set(seen)
    gone = await do(boss, somebody.id, "delete")
    assert (gone.status_code, gone.headers["location"]) == (303, f"{PEOPLE}?done=deleted")
    assert await row(server, somebody.id) is None
    assert (await boss.open(f"{PEOPLE}/{somebody.id}")).status_code == 404


async def test_one_session_is_ended_and_the_tokens_of_it_are_dead(app: FastAPI, client: AsyncClient) -> None:
    boss, somebody = await staff(app, client), await person(app)
    elements = check_desk(await boss.open(f"{PEOPLE}/{somebody.id}"))
    (link,) = [str(each["href"]) for each in elements.named("a") if "end-session?" in str(each["href"])]
    assert (await do(boss, somebody.id, "end-session", "?" + link.partition("?")[2])).status_code == 303
    async with client_of(app) as other:
        assert (await other.get("/auth/me", headers=somebody.headers)).status_code == 401
    again = await boss.form(f"{PEOPLE}/{somebody.id}/end-session", session="x", epoch="0")
    assert again.status_code == 404


async def test_destructive_acts_want_a_tick_and_nothing_happens_without_it(
    app: FastAPI, client: AsyncClient, server: Server
) -> None:
    boss, somebody = await staff(app, client), await person(app)
    for act in [name for name, each in ACTS.items() if each.destructive and name != "enable"]:
        answer = await do(boss, somebody.id, act, sure="")
        check_desk(answer, status=422)
    found = await row(server, somebody.id)
    assert found is not None
    assert found.active


async def test_an_account_that_changed_meanwhile_is_looked_at_again_first(
    app: FastAPI, client: AsyncClient, server: Server
) -> None:
    boss, somebody = await staff(app, client), await person(app)
    path = f"{PEOPLE}/{somebody.id}/disable"
    given = await ask(boss, path)
    assert (await do(boss, somebody.id, "role", role="auditor")).status_code == 303
    late = await boss.form(path, **given, sure="yes")
    assert "The account was changed meanwhile." in late.text
    check_desk(late, status=422)
    assert (await do(boss, somebody.id, "disable")).status_code == 303


async def test_nobody_does_to_those_above_them_what_the_page_does_not_offer(
    app: FastAPI, client: AsyncClient, server: Server
) -> None:
    async with client_of(app) as other:
        above = await staff(app, other)
    helper = await staff(app, client, "support")
    elements = check_desk(await helper.open(f"{PEOPLE}/{above.id}"))
    assert not [each for each in elements.named("a") if str(each["href"]).startswith(f"{PEOPLE}/{above.id}/")]
    for act in [*ACTS, "edit"]:
        path = f"{PEOPLE}/{above.id}/{act}"
        assert (await helper.open(path)).status_code == 403, act
        assert (await helper.form(path, sure="yes", epoch="0", role="user")).status_code in {403, 422}, act
    found = await row(server, above.id)
    assert found is not None
    assert (found.role, found.active) == (Role.ADMIN, True)


async def test_nobody_gives_a_role_that_holds_more_than_theirs(app: FastAPI, client: AsyncClient, server: Server) -> None:
    helper = await staff(app, client, "support")
    given = {"username": "newcomer1", "email": "newcomer1@example.com", "role": "admin"}
    assert (await helper.form(f"{PEOPLE}/create", **given)).status_code == 403
    assert (await helper.form(f"{PEOPLE}/invite", email="x@example.com", role="admin")).status_code == 403
    elements = check_desk(await helper.open(f"{PEOPLE}/create"))
    assert [each["value"] for each in elements.named("option")] == ["user", "support"]


async def test_lasting_harm_takes_a_proof_of_the_last_ten_minutes(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss, somebody = await staff(app, client), await person(app)
    check_desk(await boss.open(PEOPLE))
    clock.advance(seconds=11 * 60)
    check_desk(await boss.open(PEOPLE))
    harmful = [name for name, act in ACTS.items() if act.harm]
    assert {"role", "delete", "reset-factors", "require-factor"} <= set(harmful)
    for act in [*harmful, "edit"]:
        path = f"{PEOPLE}/{somebody.id}/{act}"
        for answer in (await boss.open(path), await boss.form(path, sure="yes", epoch="0", role="admin")):
            assert (answer.status_code, answer.headers["location"]) == (303, f"/account/reauthenticate?next={path}")
    assert await row(server, somebody.id) is not None
    assert (await do(boss, somebody.id, "disable")).status_code == 303  # which can be taken back


async def test_a_new_account_of_the_staff_takes_such_a_proof_too(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    check_desk(await boss.open(PEOPLE))
    clock.advance(seconds=11 * 60)
    for path in (f"{PEOPLE}/create", f"{PEOPLE}/invite"):
        for role in ("support", "admin"):
            answer = await boss.form(path, username="newcomer", email="newcomer@example.com", role=role)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/account/reauthenticate?next={path}")
    async with server.database.read() as db:
        assert list(await db.scalars(select(User.username))) == [boss.username]
    made = await boss.form(f"{PEOPLE}/create", username="newcomer", email="newcomer@example.com", role="user")
    assert (made.status_code, made.headers["location"].partition("?")[2]) == (303, "done=created"), made.text


async def test_making_inviting_and_editing(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    made = await boss.form(f"{PEOPLE}/create", username="newcomer", email="newcomer@example.com", role="user")
    assert (made.status_code, made.headers["location"].partition("?")[2]) == (303, "done=created"), made.text
    path = made.headers["location"].partition("?")[0]
    taken = await boss.form(f"{PEOPLE}/create", username="NEWCOMER", email="other@example.com", role="user")
    assert "This username is taken" in taken.text
    check_desk(taken, status=409)
    edited = await ask(boss, f"{path}/edit")
    fields = edited | {"username": "newname", "email": "new@example.com", "display_name": "New Name", "locale": "fr"}
    assert (await boss.form(f"{path}/edit", **fields)).status_code == 303
    found = await row(server, path.rpartition("/")[2])
    assert found is not None
    assert (found.username, found.email, found.display_name, found.locale) == ("newname", "new@example.com", "New Name", "fr")
    assert not found.email_verified
    stale = await boss.form(f"{path}/edit", **fields, sure="")
    assert "changed meanwhile" in stale.text
    invited = await boss.form(f"{PEOPLE}/invite", email="guest@example.com", role="auditor")
    assert invited.headers["location"] == f"{PEOPLE}?done=invited"
    check_desk(await boss.form(f"{PEOPLE}/invite", email="nobody", role="user"), status=422)


async def test_the_last_admin_stays(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    for act in ("disable", "role", "delete"):
        answer = await do(boss, boss.id, act, role="user")
        check_desk(answer, status=409)
        assert "You are the only admin." in answer.text
    denied = await events(server, "access.denied", subject_id=uuid.UUID(boss.id))
    assert [(str(each.actor_id), each.data) for each in denied] == [(boss.id, {"reason": "last_admin"})] * 3
    elements = check_desk(await boss.open(f"{PEOPLE}/{boss.id}"))
    offered = {str(each["href"]).rpartition("/")[2] for each in elements.named("a")}
    assert not {"reset-factors", "require-factor", "impersonate"} & offered


async def test_whoever_lost_the_role_meanwhile_does_nothing(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss, somebody = await staff(app, client), await person(app)
    path = f"{PEOPLE}/{somebody.id}/disable"
    given = await ask(boss, path)
    token = await boss.token()
    await give_role(app, boss.username, "auditor")
    data = {"form_token": token, **given, "sure": "yes"}
    assert (await client.post(path, data=data, headers=boss.headers)).status_code == 403
    found = await row(server, somebody.id)
    assert found is not None
    assert found.active


async def test_a_form_of_another_site_does_nothing(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss, somebody = await staff(app, client), await person(app)
    path = f"{PEOPLE}/{somebody.id}/delete"
    given = await ask(boss, path)
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    data = {"form_token": await boss.token(), "sure": "yes", **given}
    assert (await client.post(path, data=data, headers=headers)).status_code == 403
    assert (await client.post(path, data=data | {"form_token": "x"}, headers=boss.headers)).status_code == 403
    assert await row(server, somebody.id) is not None


async def test_hostile_names_are_text_on_every_page(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    (evil,) = await seed(server, seed_row("evil", "evil@example.com", display_name=HOSTILE[:64]))
    for act in ["", *(f"/{name}" for name in ACTS), "/edit"]:
        shown = await boss.open(f"{PEOPLE}/{evil['id']}{act}")
        check_desk(shown)
        assert "<script>alert" not in shown.text
        assert not [each for _, each in Elements(shown.text).found if "onclick" in each]


@pytest.mark.parametrize("path", ["x", "01234567-89ab-7def-8123-456789abcdef", "create/x", "%00"])
async def test_unknown_people_are_not_found(app: FastAPI, client: AsyncClient, path: str) -> None:
    boss = await staff(app, client)
    assert (await boss.open(f"{PEOPLE}/{path}")).status_code in {404, 422}
