"""The console's shell: who is in it for how long, what its pages may load, that every page stands behind it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient, Response

from app.admin.entry import ConsoleKit, read_entry, write_entry
from app.admin.face import Console
from app.core.crypto import new_id
from app.core.server import Server
from tests.account.forms import Visitor
from tests.admin.scene import check_desk, give_role, staff
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock

HTMX = Path(__file__).parents[2] / "app" / "static" / "js" / "htmx.min.js"
COOKIE = "authkeep-console"
MINUTE, HOUR = 60, 3600
PEOPLE = "/admin/users"


def asked_again(answer: Response) -> str:
    """Where the proof that is asked for leads back to."""
    assert answer.status_code == 303, answer.text
    place = urlsplit(answer.headers["location"])
    assert place.path == "/account/reauthenticate"
    (back,) = parse_qs(place.query)["next"]
    return back


async def prove(visitor: Visitor, password: str = api.PASSWORD) -> None:
    answer = await visitor.post("/account/reauthenticate", password=password, next=PEOPLE)
    assert (answer.status_code, answer.headers["location"]) == (303, PEOPLE), answer.text


def test_htmx_is_the_file_that_was_published() -> None:
    """npm's htmx.org@2.0.11, dist/htmx.min.js: the package's own digest is in the registry."""
    digest = hashlib.sha384(HTMX.read_bytes()).hexdigest()
    assert digest == "d8e6adcd0cb51fe65dfc822b8ebd5372e0c6a8b5de1e16e8a00c8963529d40c2a7af82d9db6937d4604b7582879958e0"
    assert "Zero-Clause BSD" in HTMX.with_name("htmx.LICENSE.txt").read_text()


async def test_a_page_loads_its_own_scripts_and_nothing_inline(app: FastAPI, client: AsyncClient) -> None:
    boss = await staff(app, client)
    elements = check_desk(await boss.open(PEOPLE))
    scripts = [str(script["src"]).partition("?")[0] for script in elements.named("script")]
    assert scripts.index("/static/console.js") < scripts.index("/static/htmx.min.js")
    (config,) = [each["content"] for each in elements.named("meta") if each.get("name") == "htmx-config"]
    assert '"allowEval":false' in str(config)
    assert '"allowScriptTags":false' in str(config)


async def test_every_page_of_the_console_stands_behind_its_door(app: FastAPI) -> None:
    def walk(dependant: Dependant) -> Iterator[Console]:
        if isinstance(dependant.call, Console):
            yield dependant.call
        for below in dependant.dependencies:
            yield from walk(below)

    pages = [context for context in iter_route_contexts(app.routes) if str(context.path).startswith("/admin")]
    open_to = [context.path for context in pages if len(list(walk(context.dependant))) != 1]
    assert open_to == []
    assert len(pages) > 0


async def test_who_proved_it_long_ago_is_asked_before_coming_in_and_led_back(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    clock.advance(seconds=11 * MINUTE)
    answer = await client.get(f"{PEOPLE}?q=a%26b&role=admin")
    assert asked_again(answer) == f"{PEOPLE}?q=a%26b&role=admin"
    assert COOKIE not in client.cookies
    await prove(boss)
    check_desk(await boss.open(PEOPLE))
    assert COOKIE in client.cookies


async def test_the_console_is_open_while_it_is_used_and_shut_after_a_quarter_of_an_hour(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    for _ in range(4):
        check_desk(await boss.open(PEOPLE))
        clock.advance(seconds=14 * MINUTE)
    check_desk(await boss.open(PEOPLE))
    clock.advance(seconds=15 * MINUTE)
    asked_again(await boss.open(PEOPLE))
    assert (await boss.open("/account/")).status_code == 200  # the session itself goes on


async def test_eight_hours_are_the_end_however_much_it_is_used(app: FastAPI, client: AsyncClient, clock: TravellingClock) -> None:
    boss = await staff(app, client)
    for _ in range(8 * 6):
        check_desk(await boss.open(PEOPLE))
        clock.advance(seconds=10 * MINUTE)
    asked_again(await boss.open(PEOPLE))
    await prove(boss)
    check_desk(await boss.open(PEOPLE))


async def test_a_proof_in_between_gives_no_longer_day(app: FastAPI, client: AsyncClient, clock: TravellingClock) -> None:
    boss = await staff(app, client)
    for turn in range(8 * 6):
        check_desk(await boss.open(PEOPLE))
        clock.advance(seconds=10 * MINUTE)
        if turn == 30:
            await prove(boss)
    asked_again(await boss.open(PEOPLE))


async def test_the_cookie_is_good_on_every_replica_and_for_its_session_alone(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    check_desk(await boss.open(PEOPLE))
    held = str(client.cookies[COOKIE])
    clock.advance(seconds=11 * MINUTE)
    check_desk(await boss.open(PEOPLE))
    last = held[:-2] + ("AA" if held[-2:] != "AA" else "BB")
    for changed in ("", "x", held[1:], held + "A", last, "é" * 8, "A" * 64, held.swapcase()):
        kept = [f"{name}={value}" for name, value in client.cookies.items() if name != COOKIE]
        cookie = "; ".join([*kept, f"{COOKIE}={changed}"]).encode()
        async with client_of(app) as bare:
            asked_again(await bare.get(PEOPLE, headers=[(b"cookie", cookie)]))
    async with client_of(app) as other:
        second = Visitor(other)
        await second.sign_in(boss.username, boss.password)
        clock.advance(seconds=11 * MINUTE)
        other.cookies.set(COOKIE, held)
        asked_again(await second.open(PEOPLE))
    kit = server.kit(ConsoleKit)
    mine, others = new_id(clock()), new_id(clock())
    written = write_entry(kit, mine, clock(), clock())
    assert read_entry(kit, mine, written, clock()) is not None
    assert read_entry(kit, others, written, clock()) is None
    assert read_entry(ConsoleKit(b"another key".ljust(32)), mine, written, clock()) is None


async def test_the_api_by_cookie_is_behind_the_same_door_and_keeps_nobody_in(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    """A browser left alone is no way to the accounts by another path; a bearer token is no browser."""
    boss = await staff(app, client)

    async def ask() -> int:
        return (await client.get("/users/", headers=boss.headers)).status_code

    tokens = await api.login(client, boss.username)
    client.cookies.clear()
    await boss.sign_in(boss.username, boss.password)
    assert await ask() == 200  # proved a moment ago
    check_desk(await boss.open(PEOPLE))
    clock.advance(seconds=14 * MINUTE)
    assert await ask() == 200  # in the console
    held = client.cookies[COOKIE]
    clock.advance(seconds=2 * MINUTE)
    assert client.cookies[COOKIE] == held  # which the call did not lengthen
    answer = await client.get("/users/", headers=boss.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_user_authentication")
    async with client_of(app) as bare:
        fresh = await bare.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert (await bare.get("/users/", headers=api.bearer(fresh.json()))).status_code == 200
    await prove(boss)
    assert await ask() == 200


async def test_logging_out_and_losing_the_role_end_it_at_once(app: FastAPI, client: AsyncClient) -> None:
    boss = await staff(app, client)
    check_desk(await boss.open(PEOPLE))
    await give_role(app, boss.username, "user")
    assert (await boss.open(PEOPLE)).status_code == 403
    await give_role(app, boss.username, "support")
    check_desk(await boss.open(PEOPLE))
    assert (await boss.post("/account/sign-out")).status_code == 303
    answer = await boss.open(PEOPLE)
    assert (answer.status_code, urlsplit(answer.headers["location"]).path) == (303, "/account/sign-in")


async def test_the_cookie_is_strict_and_no_script_reads_it(app: FastAPI, client: AsyncClient) -> None:
    boss = await staff(app, client)
    answer = await boss.open(PEOPLE)
    (cookie,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{COOKIE}=")]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert not [each for each in attributes if each.startswith(("max-age", "expires"))]


async def test_a_part_of_a_page_is_not_filled_with_the_page_that_asks_for_a_proof(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    await staff(app, client)
    clock.advance(seconds=16 * MINUTE)
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://localhost:8000{PEOPLE}?q=x"}
    answer = await client.get(PEOPLE, headers=headers)
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["hx-redirect"] == "/account/reauthenticate?next=/admin/users%3Fq%3Dx"
    away = await client.get(PEOPLE, headers={**headers, "HX-Current-URL": "https://evil.example/account/leave"})
    assert away.headers["hx-redirect"] == "/account/reauthenticate?next=/admin/"
    for odd in ("http://[", "//[x", "http://[::1/admin/users"):
        answer = await client.get(PEOPLE, headers={**headers, "HX-Current-URL": odd})
        assert answer.headers["hx-redirect"] == "/account/reauthenticate?next=/admin/", odd


async def test_staff_find_the_console_from_their_account_and_back_from_an_error(app: FastAPI, client: AsyncClient) -> None:
    boss = await staff(app, client)
    assert 'href="/admin/"' in (await boss.open("/account/")).text
    lost = await boss.open(f"{PEOPLE}/01234567-89ab-7def-8123-456789abcdef")
    assert (lost.status_code, 'href="/admin/"' in lost.text) == (404, True)
    await give_role(app, boss.username, "user")
    assert 'href="/admin/"' not in (await boss.open("/account/")).text
    refused = await boss.open(PEOPLE)
    assert (refused.status_code, 'href="/admin/"' in refused.text) == (403, False)


@pytest.mark.env(MFA="admins", MFA_GRACE_DAYS="0")
async def test_who_must_have_a_second_factor_and_has_none_is_shown_where_to_set_one_up(app: FastAPI, client: AsyncClient) -> None:
    boss = await staff(app, client, "user")
    await give_role(app, boss.username, "admin")
    refused = await boss.client.get(PEOPLE)
    assert refused.status_code == 401
    assert '<a class="button" href="/account/security">Set up a second factor</a>' in refused.text
    assert (await boss.client.get("/account/security")).status_code == 200
