"""PATCH /auth/me: what is named changes, null clears, the rest stays; names are free, shown and harmless."""

import asyncio
import uuid
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import update

from app.core.i18n import LOCALES
from app.core.server import Server
from app.models import PendingRegistration, User
from app.users.names import Locale
from tests.account.forms import Visitor
from tests.auth.scene import events, execute, sid_of, two_clients
from tests.privacy.scene import NAME
from tests.support import api
from tests.support.clock import TravellingClock


async def patch(client: AsyncClient, user: api.User, **body: Any) -> Response:
    return await client.patch("/auth/me", json=body, headers=user.headers)


async def me(client: AsyncClient, user: api.User) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/auth/me", headers=user.headers)).json()
    return answer


async def test_what_is_named_changes_and_the_rest_stays(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    before = await me(client, user)
    answer = await patch(client, user, display_name=f"  {NAME} ")
    assert (answer.status_code, answer.json()) == (200, before | {"display_name": NAME})
    answer = await patch(client, user, locale="es")
    assert answer.json() == before | {"display_name": NAME, "locale": "es"}
    answer = await patch(client, user, username="Renamed71", locale=None)
    wanted = before | {"display_name": NAME, "username": "Renamed71"}
    assert answer.json() == wanted == await me(client, user)
    assert (await patch(client, user, display_name=None)).json() == wanted | {"display_name": None}
    assert (await patch(client, user)).status_code == 200
    told = [(event.session_id, event.said) for event in await events(server, "user.profile.changed")]
    sid = sid_of(user.tokens)
    assert told == [
        (sid, {"fields": ["display_name"], "display_name_before": None, "display_name_after": NAME}),
        (sid, {"fields": ["locale"], "locale_before": None, "locale_after": "es"}),
        (
            sid,
            {
                "fields": ["locale", "username"],
                "username_before": user.username,
                "username_after": "Renamed71",
                "locale_before": "es",
                "locale_after": None,
            },
        ),
        (sid, {"fields": ["display_name"], "display_name_before": NAME, "display_name_after": None}),
    ]
    assert [event.data for event in await events(server, "user.profile.changed")] == [
        {"fields": each["fields"]} for _, each in told
    ]


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_CHANGE_PROFILE="2/hour")
async def test_names_are_not_asked_about_without_end(client: AsyncClient) -> None:
    user, other = await api.new_user(client), await api.register(client)
    for status in (409, 409, 429):
        assert (await patch(client, user, username=other["username"])).status_code == status
    await Visitor(client).sign_in(user.username, user.password)
    assert (await Visitor(client).post("/account/", username=other["username"])).status_code == 429


async def test_what_is_so_already_is_no_change(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    for body in ({}, {"username": user.username}, {"display_name": None, "locale": None}):
        assert (await patch(client, user, **body)).status_code == 200
    assert await events(server, "user.profile.changed") == []


async def test_one_signs_in_by_the_new_name_alone_and_the_old_one_is_free(client: AsyncClient) -> None:
    user = await api.new_user(client)
    assert (await patch(client, user, username="Fresh71")).status_code == 200
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200  # nobody is signed out for it
    assert (await api.login(client, "fRESH71"))["access_token"]
    form = {"username": user.username, "password": user.password}
    assert (await client.post("/auth/login", data=form)).status_code == 401
    await api.register(client, user.username, "somebody@example.com")


async def test_case_alone_may_change_and_an_admin_keeps_a_reserved_name(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    assert (await patch(client, user, username=user.username.upper())).json()["username"] == user.username.upper()
    await execute(server, update(User).where(User.id == uuid.UUID(user.id)).values(username="admin", username_key="admin"))
    assert (await patch(client, user, username="Admin", locale="de")).json()["username"] == "Admin"


async def test_names_that_are_not_free_are_refused(client: AsyncClient, server: Server) -> None:
    user, other = await api.new_user(client), await api.new_user(client)
    async with server.database.write() as db:
        soon = server.clock().replace(year=2100)
        now = server.clock()
        kept = {"username": "Waiting1", "username_key": "waiting1", "email": "w@example.com", "email_key": "w@example.com"}
        kept |= {"password_hash": "x", "scheme": "x"}
        db.add(PendingRegistration(id=uuid.uuid4(), created_at=now, reserved_until=soon, **kept))
    for taken in (other.username, other.username.upper(), "waiting1"):
        answer = await patch(client, user, username=taken, display_name="Not This")
        assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")
    answer = await patch(client, user, username="Root")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "username_reserved")
    assert (await me(client, user))["display_name"] is None  # all or nothing
    assert await events(server, "user.profile.changed") == []


@pytest.mark.asvs("V15.3.3", "V2.2.1")
@pytest.mark.parametrize(
    "body",
    [
        {"username": None},
        {"username": ""},
        {"username": "ab"},
        {"username": "a" * 33},
        {"username": "with space"},
        {"username": "ünder"},
        {"username": ["alice71"]},
        {"display_name": ""},
        {"display_name": "   "},
        {"display_name": "a" * 65},
        {"display_name": "\u0958" * 33},  # 33 code points, 66 in NFC
        {"display_name": "line\nbreak"},
        {"display_name": "nul\x00"},
        {"display_name": "right\u202eto left"},
        {"display_name": "\u2066isolated\u2069"},
        {"display_name": "zero\u200bwidth"},
        {"display_name": "\u3164\u3164"},
        {"display_name": "\u2800"},
        {"display_name": "\u0301accent on nothing"},
        {"display_name": "private \ue000"},
        {"display_name": 7},
        {"locale": "it"},
        {"locale": "EN"},
        {"locale": "en-US"},
        {"locale": "../../etc/passwd"},
        {"locale": ""},
        {"locale": ["de"]},
        {"email": "new@example.com"},
        {"role": "admin"},
        {"email_verified": True},
        {"leaving_at": None},
        {"id": str(uuid.UUID(int=1))},
    ],
)
async def test_what_may_not_be_is_refused_and_changes_nothing(client: AsyncClient, body: dict[str, Any]) -> None:
    user = await api.new_user(client)
    before = await me(client, user)
    answer = await patch(client, user, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), answer.text
    assert await me(client, user) == before


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Nguye\u0302\u0303n", "Nguy\u1ec5n"),
        ("李小龍", "李小龍"),
        ("محمد", "محمد"),
        ("O'Brien <script>alert(1)</script>", "O'Brien <script>alert(1)</script>"),
        ("{{7*7}} ${7*7} %s", "{{7*7}} ${7*7} %s"),
        ("🦊", "🦊"),
        ("a" * 64, "a" * 64),
    ],
)
async def test_any_script_is_a_name_in_nfc(client: AsyncClient, typed: str, kept: str) -> None:
    user = await api.new_user(client)
    assert (await patch(client, user, display_name=typed)).json()["display_name"] == kept
    assert (await me(client, user))["display_name"] == kept


def test_the_languages_are_those_of_the_pages() -> None:
    assert set(get_args(Locale)) == set(LOCALES)


@pytest.mark.asvs("V8.2.1")
async def test_without_a_good_token_nothing_changes(app: FastAPI, client: AsyncClient) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    assert (await client.patch("/auth/me", json={"locale": "de"})).status_code == 401
    as_refresh = {"Authorization": f"Bearer {user.tokens['refresh_token']}"}
    assert (await client.patch("/auth/me", json={"locale": "de"}, headers=as_refresh)).status_code == 401
    assert (await me(client, user))["locale"] is None
    disabled = await client.put(f"/users/{user.id}/status", json={"active": False}, headers=admin.headers)
    assert disabled.status_code == 200
    assert (await patch(client, user, locale="de")).status_code == 401


async def test_an_admin_sees_name_and_language(app: FastAPI, client: AsyncClient) -> None:
    user, admin = await api.new_user(client), await api.new_admin(app, client)
    await patch(client, user, display_name=NAME, locale="fr")
    account = (await client.get(f"/users/{user.id}", headers=admin.headers)).json()
    assert (account["display_name"], account["locale"], account["leaving_at"]) == (NAME, "fr", None)


@pytest.mark.promise("P3")
async def test_of_twenty_who_want_a_name_one_gets_it(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock
) -> None:
    users = [await api.new_user(client) for _ in range(19)]
    body = {"username": "Coveted", "email": "coveted@example.com", "password": api.PASSWORD}
    async with two_clients(app, env, clock) as clients:
        answers = await asyncio.gather(
            *(patch(clients[n % 2], user, username="coveted") for n, user in enumerate(users)),
            clients[0].post("/auth/register", json=body),
        )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] in {200, 201}
    assert statuses[1:] == [409] * 19, [answer.text for answer in answers]
