"""Registering: what is answered and stored, what is refused and by which code, and that a race makes one user."""

import asyncio
import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select

from app.audit.models import AuditEvent
from app.core.crypto import random_secret
from app.core.server import Server
from app.users import repository
from app.users.models import User
from tests.auth.holding import Crowd, pool_of
from tests.support import api

GOOD = {"username": "alice", "email": "alice@example.com", "password": api.PASSWORD}


async def post(client: AsyncClient, **changes: Any) -> Response:
    """A good registration but for `changes`."""
    return await client.post("/auth/register", json=GOOD | changes)


def codes(response: Response) -> list[tuple[str, str]]:
    """Which fields were refused, by which code."""
    return [(str(error["loc"][-1]), error["code"]) for error in response.json()["errors"]]


async def users_of(server: Server) -> list[User]:
    async with server.database.read() as db:
        return list((await db.scalars(select(User))).all())


@pytest.mark.asvs("V15.3.1", "V14.3.2")
async def test_the_answer_is_the_user_and_nothing_else(client: AsyncClient) -> None:
    before = datetime.now(UTC)
    response = await post(client, username="Alice", email="Alice@Example.COM")
    assert response.status_code == 201, response.text
    body = response.json()
    made = uuid.UUID(body.pop("id"))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    created_at = datetime.fromisoformat(body.pop("created_at"))
    assert before <= created_at <= datetime.now(UTC)
    assert abs((made.int >> 80) - created_at.timestamp() * 1000) <= 1
    chosen_later = {"display_name": None, "locale": None}
    assert body == {"username": "Alice", "email": "Alice@example.com", "role": "user", "email_verified": False} | chosen_later
    assert response.headers["cache-control"] == "no-store"


async def test_the_row_holds_a_hash_and_the_password_nowhere(client: AsyncClient, server: Server) -> None:
    await api.register(client, "Alice", "Alice@example.com")
    (user,) = await users_of(server)
    assert str(user.password_hash).startswith("$2b$04$")
    assert (user.username_key, user.email_key, user.role, user.active) == ("alice", "alice@example.com", "user", True)
    assert user.last_login_at is None
    assert api.PASSWORD not in " ".join(str(value) for value in vars(user).values())


@pytest.mark.asvs("V16.3.1", "V16.2.1")
async def test_a_registration_is_recorded_once(client: AsyncClient, server: Server) -> None:
    account = await api.register(client, "alice")
    assert (await post(client)).status_code == 409
    async with server.database.read() as db:
        (event,) = (await db.scalars(select(AuditEvent))).all()
    user_id = uuid.UUID(account["id"])
    assert (event.fact, event.actor_id, event.subject_id) == ("user.registered", user_id, user_id)
    assert (event.address, event.data) == ("127.0.0.1", {})
    assert event.request_id


@pytest.mark.parametrize("again", ["alice", "ALICE", "aLiCe"])
async def test_a_username_is_taken_in_every_case(client: AsyncClient, server: Server, again: str) -> None:
    await api.register(client, "Alice")
    response = await post(client, username=again, email="other@example.org")
    assert (response.status_code, response.json()["code"]) == (409, "username_taken")
    assert response.headers["content-type"] == "application/problem+json"
    assert len(await users_of(server)) == 1


@pytest.mark.asvs("V1.1.1")
@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("alice@example.com", "ALICE@EXAMPLE.COM"),
        ("Alice.B+Shop@Example.com", "aLICE.b+sHOP@eXAMPLE.COM"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@xn--bcher-kva.example", "ALICE@BÜCHER.EXAMPLE"),
        ("alice@bücher.example", "alice@bu\u0308cher.example"),
        ("alice@example.com", "alice@ｅｘａｍｐｌｅ.com"),
        ("alice@example.com", "alice@example。com"),
    ],
)
async def test_an_address_is_taken_however_it_is_written(client: AsyncClient, server: Server, first: str, again: str) -> None:
    await api.register(client, "first", first)
    response = await post(client, username="second", email=again)
    assert (response.status_code, response.json()["code"]) == (409, "email_taken"), response.text
    assert len(await users_of(server)) == 1


async def test_addresses_that_differ_are_different_people(client: AsyncClient, server: Server) -> None:
    for number, email in enumerate(["a.b@example.com", "ab@example.com", "a.b+c@example.com", "a.b@example.org"]):
        await api.register(client, f"user{number}", email)
    assert len(await users_of(server)) == 4


FOREIGN_FIELDS: dict[str, Any] = {
    "role": "admin",
    "id": "0190163d-8694-739b-aea5-966c26f8ad91",
    "is_admin": True,
    "email_verified": True,
    "created_at": "2026-01-01T00:00:00Z",
    "active": True,
    "epoch": 1,
    "password_hash": "$2b$04$abc",
    "username_key": "bob",
    "__proto__": {},
}


@pytest.mark.asvs("V15.3.3", "V8.2.3", "V2.2.2", "V8.3.1")
async def test_a_field_that_is_not_asked_for_is_refused(client: AsyncClient, server: Server) -> None:
    for field, value in FOREIGN_FIELDS.items():
        response = await post(client, **{field: value})
        assert response.status_code == 422, field
        assert [code for _, code in codes(response)] == ["extra_forbidden"], field
    assert await users_of(server) == []


async def test_a_reserved_name_is_not_for_self_registration(client: AsyncClient, server: Server) -> None:
    for name in ("admin", "ADMIN", "Administrator", "root", "Support", "authkeep", "null", "undefined", "Nobody"):
        response = await post(client, username=name)
        assert (response.status_code, codes(response)) == (422, [("username", "username_reserved")]), name
    assert await users_of(server) == []


async def test_three_to_32_letters_and_digits_are_a_name(client: AsyncClient) -> None:
    for number, name in enumerate(["abc", "007", "a" * 32, "Z9z", "adminx"]):
        assert (await api.register(client, name, f"user{number}@example.com"))["username"] == name


BAD_NAMES: list[Any] = [
    *(
        "",
        "ab",
        "a" * 33,
        "al ice",
        " alice",
        "alice ",
        "al_ice",
        "al-ice",
        "al.ice",
        "alice@example.com",
        "alice\n",
        "al\x00ice",
    ),
    *("\u00e4lice", "\u0430lice", "\uff41lice", "al\u0131ce", "\u0663\u0664\u0665", "al\u200bice", "a\u0301lice", "%61lice"),
    *(123, 1.5, True, None, ["alice"], {"a": "b"}),
]


@pytest.mark.asvs("V1.1.1", "V2.2.1", "V15.3.5")
async def test_anything_else_is_no_name(client: AsyncClient, server: Server) -> None:
    for name in BAD_NAMES:
        response = await post(client, username=name)
        assert response.status_code == 422, ascii(name)
        assert {loc for loc, _ in codes(response)} == {"username"}, ascii(name)
    assert await users_of(server) == []


BAD_ADDRESSES: list[Any] = [
    *("", "alice", "@example.com", "alice@", "alice@example", "alice@@example.com", "al ice@example.com", "alice@exa mple.com"),
    *("alice@example..com", ".alice@example.com", "alice.@example.com", "al..ice@example.com", "alice@-example.com"),
    *("alice@example.com\r\nBcc: victim@example.com", "alice@example.com\n", "\talice@example.com", "al\x00ice@example.com"),
    *("Alice <alice@example.com>", '"al ice"@example.com', "alice@[127.0.0.1]", "alice@localhost", "\u00e5lice@example.com"),
    *("a" * 65 + "@example.com", "alice@" + "a" * 64 + ".com", "alice@" + "a.b" * 90 + ".com", "a\u202elice@example.com"),
    *("=?utf-8?q?bob=40example.org?=@example.com", "a.=?utf-8?b?Ym9iQGV4YW1wbGUub3Jn?=@example.com"),
    *("alice@example.com,bob@example.com", "alice@example.com;bob@example.com", 7, None, ["alice@example.com"], {"at": "x"}),
]


@pytest.mark.asvs("V1.3.11", "V2.2.1", "V15.3.5")
async def test_what_is_no_address_is_refused(client: AsyncClient, server: Server) -> None:
    for email in BAD_ADDRESSES:
        response = await post(client, email=email)
        assert response.status_code == 422, ascii(email)
        assert {loc for loc, _ in codes(response)} == {"email"}, ascii(email)
    assert await users_of(server) == []


BAD_PASSWORDS = {
    "kq!vzxw": "too_short",
    "\U0001f98a" * 7: "too_short",
    "kqvzxwmt": "no_special_character",
    "kq!vzxwm" * 16 + "x": "too_long",
    "P@ssw0rd": "common",
    "Password1!": "common",
    "Qwerty123!": "common",
    "J0hn-Mcqueen!": "is_username",
    "quarterdeck7!": "is_email",
    "Quarterdeck@Example.org": "is_email",
    "4uthk33p!": "is_product_name",
}


@pytest.mark.asvs("V6.2.1", "V6.2.4", "V6.2.11", "V6.2.12", "V2.2.3")
async def test_a_bad_password_is_refused_by_code_and_never_echoed(client: AsyncClient, server: Server) -> None:
    for password, code in BAD_PASSWORDS.items():
        response = await post(client, username="johnmcqueen", email="quarterdeck@example.org", password=password)
        assert (response.status_code, response.json()["code"]) == (422, "password_rejected"), password
        assert code in [code for _, code in codes(response)], password
        assert all(error["loc"] == ["body", "password"] and error["detail"] for error in response.json()["errors"])
        assert password.casefold() not in response.text.casefold()
    assert await users_of(server) == []


GOOD_PASSWORDS = [
    *(
        "kq!vzxwm",
        "kqvz xwm",
        "  kqvzx ",
        "pfeffer\u20acsack",
        "kq\tvzxwm",
        "cafe\u0301 noir",
        "\u6f22\u5b57 \u4eee\u540d\u4ea4\u3058\u308a",
    ),
    *("\U0001f98a" * 8, "\U0001f98a" * 128, "kq!vzxwm" * 8, "kq!vzxwm" * 16),
]


@pytest.mark.asvs("V6.2.1", "V6.2.9")
async def test_a_good_password_registers_and_signs_in(client: AsyncClient) -> None:
    for number, password in enumerate(GOOD_PASSWORDS):
        await api.register(client, f"user{number}", password=password)
        assert (await api.login(client, f"user{number}", password))["access_token"], ascii(password)


@pytest.mark.asvs("V6.2.1", "V6.2.5")
@pytest.mark.env(PASSWORD_POLICY="strict")
async def test_the_strict_policy_asks_for_fifteen_and_for_no_special_character(client: AsyncClient) -> None:
    short = await post(client, password="kqvzxwmtrbhjp!")
    assert (short.status_code, codes(short)) == (422, [("password", "too_short")])
    assert (await post(client, password="kqvzxwmtrbhjplg")).status_code == 201


BAD_SECRETS: list[Any] = [
    "sesame\x00-is-secret",
    "sesame-is-secret\ud800",
    "sesame" * 171,
    8675309,
    ["sesame-is-secret"],
    None,
    "",
]


@pytest.mark.asvs("V16.5.1")
async def test_a_password_that_is_no_text_is_refused_and_never_echoed(client: AsyncClient) -> None:
    for password in BAD_SECRETS:
        raw = json.dumps(GOOD | {"password": password})
        response = await client.post("/auth/register", content=raw, headers={"Content-Type": "application/json"})
        assert response.status_code == 422, ascii(password)
        assert "sesame" not in response.text
        assert "8675309" not in response.text


async def test_every_field_is_needed(client: AsyncClient) -> None:
    for left_out in GOOD:
        response = await client.post("/auth/register", json={name: GOOD[name] for name in GOOD if name != left_out})
        assert (response.status_code, codes(response)) == (422, [(left_out, "missing")])


@pytest.mark.asvs("V6.4.2")
async def test_nothing_else_is_asked_for(client: AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert set(schemas["RegisterIn"]["properties"]) == {"username", "email", "password"}
    assert schemas["RegisterIn"]["additionalProperties"] is False
    asked = [schema for title, schema in schemas.items() if title.endswith("In")]
    named = {name for schema in asked for name in schema["properties"]}
    assert len(asked) > 20
    assert not {name for name in named if "hint" in name or "question" in name or "answer" in name}


@pytest.mark.asvs("V6.3.2")
async def test_a_fresh_server_knows_nobody(client: AsyncClient, server: Server) -> None:
    assert await users_of(server) == []
    for name in ("admin", "root", "test", "user", "authkeep", "guest", "admin@example.com"):
        response = await client.post("/auth/login", json={"username": name, "password": name})
        assert response.status_code == 401


# Races: everybody is held where their look-up has found the name free, so that only the write can decide.


async def crowd(client: AsyncClient, server: Server, bodies: list[dict[str, str]]) -> list[Response]:
    """Register all of these at once, none hashing before all have looked."""
    async with pool_of(server, before=Crowd(len(bodies))):
        return list(await asyncio.gather(*(client.post("/auth/register", json=body) for body in bodies)))


def outcomes(responses: list[Response]) -> Counter[tuple[int, str]]:
    return Counter((response.status_code, str(response.json().get("code", ""))) for response in responses)


ONE_NAME = [{**GOOD, "username": "alice" if n % 2 else "ALICE", "email": f"alice{n}@example.com"} for n in range(20)]
ONE_ADDRESS = [
    {**GOOD, "username": f"alice{n}", "email": "alice@example.com" if n % 2 else "ALICE@EXAMPLE.COM"} for n in range(20)
]


@pytest.mark.promise("P1")
@pytest.mark.asvs("V2.3.4", "V15.4.2")
async def test_twenty_at_once_with_one_name_make_one_user(client: AsyncClient, server: Server) -> None:
    responses = await crowd(client, server, ONE_NAME)
    assert outcomes(responses) == {(201, ""): 1, (409, "username_taken"): 19}
    (winner,) = [response.json() for response in responses if response.status_code == 201]
    (user,) = await users_of(server)
    assert (str(user.id), user.email) == (winner["id"], winner["email"])
    async with server.database.read() as db:
        assert await db.scalar(select(func.count()).select_from(AuditEvent)) == 1


@pytest.mark.promise("P1")
@pytest.mark.asvs("V2.3.4", "V15.4.2")
async def test_twenty_at_once_with_one_address_make_one_user(client: AsyncClient, server: Server) -> None:
    responses = await crowd(client, server, ONE_ADDRESS)
    assert outcomes(responses) == {(201, ""): 1, (409, "email_taken"): 19}
    (winner,) = [response.json() for response in responses if response.status_code == 201]
    (user,) = await users_of(server)
    assert (str(user.id), user.username) == (winner["id"], winner["username"])


@pytest.mark.parametrize(("bodies", "key"), [(ONE_NAME, "username_key"), (ONE_ADDRESS, "email_key")])
async def test_control_without_the_constraints_the_same_race_makes_twenty(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch, bodies: list[dict[str, str]], key: str
) -> None:
    right = repository.add_user

    async def unconstrained(db: Any, values: dict[str, Any]) -> User | None:
        return await right(db, values | {key: random_secret()[:32]})

    monkeypatch.setattr(repository, "add_user", unconstrained)
    assert outcomes(await crowd(client, server, bodies)) == {(201, ""): 20}
    assert len(await users_of(server)) == 20


async def test_a_name_given_up_can_be_taken_again(client: AsyncClient, app: Any, server: Server) -> None:
    admin = await api.new_admin(app, client)
    first = await api.register(client, "alice")
    assert (await client.delete(f"/users/{first['id']}", headers=admin.headers)).status_code == 204
    second = await api.register(client, "Alice", "alice@example.com")
    assert second["id"] != first["id"]


async def test_ids_sort_by_time_of_making(client: AsyncClient, clock: Any) -> None:
    made = []
    for _ in range(3):
        made.append((await api.register(client))["id"])
        clock.advance(timedelta(seconds=1))
    assert made == sorted(made)
