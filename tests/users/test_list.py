"""GET /users/: pages that neither skip nor repeat, cursors that can't be changed, a search that takes all literally."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import delete

from app.core.server import Server
from app.users import listing_repository
from app.users.models import User
from tests.auth.scene import events, execute
from tests.support import api
from tests.users.seeds import LONG_AGO, seed, seed_row

SORTS = ["created_at", "username", "email", "-created_at", "-username", "-email"]
FIELDS = {
    "id",
    "username",
    "email",
    "role",
    "email_verified",
    "created_at",
    "display_name",
    "locale",
    "active",
    "last_login_at",
    "leaving_at",
}


class Listing:
    """GET /users/ as an admin."""

    def __init__(self, client: AsyncClient, admin: api.User) -> None:
        self.client, self.admin = client, admin

    async def answer(self, **query: Any) -> Response:
        return await self.client.get("/users/", params=query, headers=self.admin.headers)

    async def page(self, **query: Any) -> dict[str, Any]:
        answer = await self.answer(**query)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        assert page.keys() == {"items", "next_cursor", "total", "total_capped"}
        return page

    async def names(self, **query: Any) -> list[str]:
        return [item["username"] for item in (await self.page(**query))["items"]]


@pytest.fixture
async def listing(app: FastAPI, client: AsyncClient) -> Listing:
    return Listing(client, await api.new_admin(app, client))


@pytest.mark.asvs("V15.3.1", "V14.3.2", "V8.2.3")
async def test_an_admin_sees_every_account_without_its_secrets(listing: Listing, client: AsyncClient) -> None:
    account = await api.register(client)
    answer = await listing.answer()
    assert answer.headers["cache-control"] == "no-store"
    page = answer.json()
    assert (page["total"], page["total_capped"], page["next_cursor"]) == (2, False, None)
    admin, user = page["items"]
    assert admin.keys() == user.keys() == FIELDS
    assert user == {**account, "active": True, "last_login_at": None, "leaving_at": None}
    assert (admin["role"], admin["active"]) == ("admin", True)
    assert admin["last_login_at"] is not None


@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_over_all_pages_shows_each_account_once_while_others_come_and_go(
    listing: Listing, server: Server, sort: str
) -> None:
    rows = await seed(
        server,
        *(
            seed_row(f"user{n * 37 % 60:03}", f"Mail{n * 23 % 60:03}@example.com", created_at=LONG_AGO + timedelta(hours=n // 7))
            for n in range(60)
        ),
    )
    by = {"created_at": "created_at", "username": "username_key", "email": "email_key"}[sort.removeprefix("-")]
    ordered = sorted(rows, key=lambda row: (row[by], row["id"].bytes), reverse=sort.startswith("-"))
    wanted = [row["username"] for row in ordered]
    doomed = {wanted[3], wanted[30], wanted[55]}
    seen: list[str] = []
    cursor, pages = None, 0
    while True:
        page = await listing.page(sort=sort, limit=7, q="", **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 7
        seen += [item["username"] for item in page["items"]]
        pages += 1
        await seed(server, seed_row(f"a{pages:03}", created_at=LONG_AGO - timedelta(days=1)), seed_row(f"zz{pages:03}"))
        if pages == 2:
            await execute(server, delete(User).where(User.username.in_(doomed)))
        if (cursor := page["next_cursor"]) is None:
            break
    assert len(seen) == len(set(seen))
    stayed = [name for name in wanted if name not in doomed]
    assert [name for name in seen if name in stayed] == stayed
    assert wanted[3] in seen
    assert not {wanted[30], wanted[55]} & set(seen)


@pytest.mark.parametrize(("near", "gathered"), [(5_000, 300_000), (8, 300_000), (8, 10)], ids=["near", "gathered", "walked"])
@pytest.mark.parametrize("sort", SORTS)
async def test_what_begins_so_is_found_in_order_wherever_it_is(
    listing: Listing, server: Server, monkeypatch: pytest.MonkeyPatch, sort: str, near: int, gathered: int
) -> None:
    """Near the beginning of the list, so far away that it is gathered, and so much that all are gone through: the same pages."""
    monkeypatch.setattr(listing_repository, "NEAR", near)
    monkeypatch.setattr(listing_repository, "GATHERED", gathered)
    rows = await seed(
        server,
        *(
            seed_row(
                f"{'legacy' if n % 3 else 'other'}{n * 37 % 60:03}",
                f"{'legacy' if n % 3 == 2 or n == 0 else 'Mail'}{n * 23 % 60:03}@example.com",
                created_at=LONG_AGO + timedelta(hours=(n * 17 % 60) // 4),
            )
            for n in range(60)
        ),
    )
    by = {"created_at": "created_at", "username": "username_key", "email": "email_key"}[sort.removeprefix("-")]
    sought = [row for row in rows if row["username_key"].startswith("legacy") or row["email_key"].startswith("legacy")]
    ordered = sorted(sought, key=lambda row: (row[by], row["id"].bytes), reverse=sort.startswith("-"))
    assert len(ordered) == 41
    seen: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = await listing.page(sort=sort, limit=6, q="Legacy", **more)
        assert (page["total"], page["total_capped"]) == (41, False)
        seen += [item["username"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        assert len(page["items"]) == 6
        more = {"cursor": page["next_cursor"]}
    assert seen == [row["username"] for row in ordered]
    assert (await listing.page(sort=sort, limit=6, q="nobody"))["items"] == []


async def test_pages_are_of_the_size_asked_for(listing: Listing, server: Server) -> None:
    await seed(server, *(seed_row(f"user{n:03}") for n in range(119)))
    assert len((await listing.page())["items"]) == 50
    whole = await listing.page(limit=100)
    assert (len(whole["items"]), whole["total"]) == (100, 120)
    rest = await listing.page(limit=20, cursor=whole["next_cursor"])
    assert (len(rest["items"]), rest["next_cursor"]) == (20, None)


@pytest.mark.asvs("V1.4.2", "V2.2.1")
@pytest.mark.parametrize("limit", ["0", "-1", "101", "1e3", "9" * 40, "ten", "", "1.5", "NaN"])
async def test_a_bad_limit_is_refused(listing: Listing, limit: str) -> None:
    answer = await listing.answer(limit=limit)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", "limit"]


async def test_the_total_is_counted_to_ten_thousand(listing: Listing, server: Server) -> None:
    await seed(server, *(seed_row(f"user{n:05}") for n in range(9_999)))  # and the admin
    page = await listing.page(limit=1)
    assert (page["total"], page["total_capped"]) == (10_000, False)
    await seed(server, seed_row("onemore"))
    page = await listing.page(limit=1)
    assert (page["total"], page["total_capped"]) == (10_000, True)


async def test_filters_narrow_the_list_and_the_total(listing: Listing, server: Server) -> None:
    await seed(
        server,
        seed_row("adminone", role="admin"),
        seed_row("admintwo", role="admin", disabled_at=LONG_AGO),
        seed_row("userone"),
        seed_row("usertwo", disabled_at=LONG_AGO),
    )
    me = listing.admin.username
    assert sorted(await listing.names(role="admin")) == sorted(["adminone", "admintwo", me])
    assert sorted(await listing.names(active="false")) == ["admintwo", "usertwo"]
    assert await listing.names(role="user", active="true") == ["userone"]
    assert await listing.names(role="admin", active="false", q="ADMIN") == ["admintwo"]
    page = await listing.page(active="false", limit=1, sort="-username")
    assert (page["total"], [item["username"] for item in page["items"]]) == (2, ["usertwo"])
    page = await listing.page(active="false", limit=1, sort="-username", cursor=page["next_cursor"])
    assert ([item["username"] for item in page["items"]], page["next_cursor"]) == (["admintwo"], None)
    assert not page["items"][0]["active"]


@pytest.mark.parametrize(
    ("name", "value"), [("role", "king"), ("role", "ADMIN "), ("active", "maybe"), ("sort", "password_hash"), ("sort", "--email")]
)
async def test_a_bad_filter_or_order_is_refused(listing: Listing, name: str, value: str) -> None:
    answer = await listing.answer(**{name: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", name]
    assert value.strip() not in answer.text


@pytest.mark.asvs("V1.2.9")
async def test_a_search_takes_every_character_literally(listing: Listing, server: Server) -> None:
    addresses = {
        "alice": "alice@example.com",
        "Alicia": "al%ce@example.com",
        "bob": "al_ce@example.com",
        "strasse": "al.ce@example.com",
        "dora": "o'neil@example.com",
        "kelvin": "*@example.com",
    }
    await seed(server, *(seed_row(name, email) for name, email in addresses.items()))

    async def found(q: str) -> list[str]:
        return sorted(await listing.names(q=q))

    assert await found("ali") == await found("ALI") == ["Alicia", "alice"]
    assert await found("al") == ["Alicia", "alice", "bob", "strasse"]
    assert await found("al%") == ["Alicia"]
    assert await found("al_") == ["bob"]
    assert await found("al.") == ["strasse"]
    assert await found("o'") == ["dora"]
    assert await found("*") == ["kelvin"]
    assert await found("alice@Example.COM") == ["alice"]
    assert await found("alice@ex") == ["alice"]
    for nobody in (
        "lice",
        "%",
        "_",
        ".",
        ".*",
        "(",
        "[a-z]",
        "^al",
        "al$",
        "\\",
        "'",
        '"',
        "ali ",
        "☃",
        "straß",
        "\u212aelvin",
        "a" * 254,
    ):
        assert await found(nobody) == [], nobody
    assert len(await found("")) == 7


@pytest.mark.asvs("V1.2.4")
async def test_sql_in_a_parameter_is_only_text(listing: Listing, server: Server) -> None:
    await seed(server, seed_row("alice"))
    payloads = [
        "' OR '1'='1",
        "'; DROP TABLE users; --",
        '" OR 1=1 --',
        "1) UNION SELECT password_hash FROM users --",
        "alice'--",
        "%' OR 1=1 --",
    ]
    for payload in payloads:
        assert await listing.names(q=payload) == []
        for name in ("sort", "role", "active", "cursor", "limit"):
            assert (await listing.answer(**{name: payload})).status_code == 422
        assert (await listing.client.get(f"/users/{payload}", headers=listing.admin.headers)).status_code in {404, 422}
        login = await listing.client.post("/auth/login", data={"username": payload, "password": payload})
        assert login.status_code == 401
    assert (await listing.page())["total"] == 2


@pytest.mark.parametrize("q", ["a\x00b", "a\nb", "\x1b[31m", "a\u202eb", "\U0010ffff", "x" * 255])
async def test_control_characters_and_endless_text_are_refused(listing: Listing, q: str) -> None:
    answer = await listing.answer(q=q)
    assert answer.status_code == 422
    assert q not in answer.text


@pytest.mark.asvs("V2.2.1", "V1.5.2")
async def test_a_cursor_can_not_be_changed(listing: Listing, server: Server) -> None:
    await seed(server, *(seed_row(f"user{n}") for n in range(5)))
    cursor = (await listing.page(limit=2))["next_cursor"]
    assert len((await listing.page(cursor=cursor))["items"]) == 4
    for place, char in [*enumerate(cursor)][::3]:
        changed = cursor[:place] + ("A" if char != "A" else "B") + cursor[place + 1 :]
        answer = await listing.answer(cursor=changed)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "cursor_invalid"), place
    for forged in (cursor[:-1], cursor + "A", cursor + "=", cursor[4:], "", "x", "AAAA" * 10, "☃", "[]", "=" * 30):
        answer = await listing.answer(cursor=forged)
        assert answer.status_code == (200 if forged == "" else 422), forged


@pytest.mark.asvs("V2.2.3")
async def test_a_cursor_is_good_for_its_own_list_alone(listing: Listing, server: Server) -> None:
    await seed(server, *(seed_row(f"user{n}") for n in range(5)))
    query = {"sort": "username", "q": "user", "role": "user", "active": "true"}
    cursor = (await listing.page(limit=2, **query))["next_cursor"]
    assert await listing.names(cursor=cursor, **query) == ["user2", "user3", "user4"]
    for other in ({"sort": "-username"}, {"sort": "email"}, {"q": "use"}, {"role": "admin"}, {"active": "false"}):
        answer = await listing.answer(cursor=cursor, **{**query, **other})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), other
    assert (await listing.answer(cursor=cursor)).status_code == 422


@pytest.mark.asvs("V8.2.1", "V16.3.2")
async def test_everybody_but_admins_is_refused_and_that_is_recorded(app: FastAPI, client: AsyncClient, server: Server) -> None:
    user, victim = await api.new_user(client), await api.new_admin(app, client)
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/users/", None),
        ("GET", f"/users/{victim.id}", None),
        ("PUT", f"/users/{user.id}/role", {"role": "admin"}),
        ("PUT", f"/users/{victim.id}/status", {"active": False}),
        ("DELETE", f"/users/{victim.id}", None),
        ("GET", f"/users/{uuid.uuid4()}", None),
    ]
    for method, path, body in calls:
        anonymous = await client.request(method, path, json=body)
        assert (anonymous.status_code, anonymous.json()["code"]) == (401, "unauthenticated")
        assert anonymous.headers["www-authenticate"] == "Bearer"
        refused = await client.request(method, path, json=body, headers=user.headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    denied = await events(server, "access.denied")
    assert len(denied) == len(calls)
    assert {(str(event.actor_id), str(event.subject_id), event.address) for event in denied} == {(user.id, user.id, "127.0.0.1")}
    assert (await client.get("/auth/me", headers=user.headers)).json()["role"] == "user"
    assert (await client.get("/auth/me", headers=victim.headers)).status_code == 200
