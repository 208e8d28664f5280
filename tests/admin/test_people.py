"""/admin/users over HTTP: who is shown, to whom, and what the parts are."""

from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.core.server import Server
from tests.account.forms import Elements
from tests.admin.scene import check_desk, staff
from tests.users.seeds import LONG_AGO, seed, seed_row

PEOPLE = "/admin/users"
HOSTILE = '<img src=x onerror="alert(1)">'


def names_in(html: str) -> list[str]:
    return [part.partition("</bdi>")[0] for part in html.split("<bdi>")[1::2]]


async def test_the_list_is_searched_filtered_and_paged_by_its_address(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    await seed(server, *[seed_row(f"zed{number:02}", role="auditor" if number == 3 else "user") for number in range(30)])
    shown = await boss.open(PEOPLE, q="zed", sort="username")
    elements = check_desk(shown)
    assert names_in(shown.text) == [f"zed{number:02}" for number in range(25)]
    (following,) = [each["href"] for each in elements.named("a") if each.get("rel") == "next"]
    second = await client.get(str(following))
    assert names_in(second.text) == [f"zed{number:02}" for number in range(25, 30)]
    check_desk(second)
    assert names_in((await boss.open(PEOPLE, q="ZED", role="auditor")).text) == ["zed03"]
    assert "Nobody is found by that." in (await boss.open(PEOPLE, q="zed", active="no")).text
    odd = {"role": "boss", "active": "maybe", "sort": "password_hash", "verified": "1", "q": "zed29"}
    assert names_in((await boss.open(PEOPLE, **odd)).text) == ["zed29"]


@pytest.mark.parametrize("cursor", ["x", "A" * 80, "é", "'"])
async def test_a_cursor_that_is_not_ours_begins_again(app: FastAPI, client: AsyncClient, cursor: str) -> None:
    boss = await staff(app, client)
    answer = await boss.open(PEOPLE, cursor=cursor)
    assert boss.username in names_in(answer.text)


@pytest.mark.parametrize("sought", ["\x00", "\u202eabc", "%", "'" * 300, HOSTILE, "\U0010ffff", "a\nb"])
async def test_odd_searches_find_nobody_and_break_nothing(app: FastAPI, client: AsyncClient, sought: str) -> None:
    boss = await staff(app, client)
    answer = await boss.open(PEOPLE, q=sought)
    check_desk(answer)
    assert HOSTILE not in answer.text


async def test_a_script_gets_the_part_that_changes_and_the_address_to_show(app: FastAPI, client: AsyncClient) -> None:
    boss = await staff(app, client)
    headers = {"HX-Request": "true", "HX-Target": "found", "HX-Current-URL": f"http://localhost:8000{PEOPLE}"}
    part = await client.get(PEOPLE, params={"q": boss.username, "role": "", "sort": "username"}, headers=headers)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert Elements(part.text).found[0] == ("div", {"id": "found", "aria-live": "polite"})
    assert names_in(part.text) == [boss.username]
    pushed = urlsplit(part.headers["hx-push-url"])
    assert (pushed.path, parse_qs(pushed.query)) == (PEOPLE, {"q": [boss.username], "sort": ["username"]})


async def test_what_people_call_themselves_is_text(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)
    await seed(server, seed_row("evil", display_name=HOSTILE), seed_row("right", display_name="\u202egnihton\u2066"))
    shown = await boss.open(PEOPLE)
    check_desk(shown)
    assert HOSTILE not in shown.text
    assert "&lt;img src=x" in shown.text


async def test_who_may_only_look_has_no_boxes_and_no_buttons(app: FastAPI, client: AsyncClient, server: Server) -> None:
    await seed(server, seed_row("somebody", disabled_at=LONG_AGO))
    auditor = await staff(app, client, "auditor")
    elements = check_desk(await auditor.open(PEOPLE))
    assert not [each for each in elements.named("input") if each["type"] == "checkbox"]
    assert not [each for each in elements.named("a") if str(each["href"]).startswith(f"{PEOPLE}/invite")]
    paths = {str(each["href"]) for each in elements.named("a")}
    assert "/admin/audit" in paths
    assert "/admin/bulk" not in paths


@pytest.mark.parametrize("role", ["user"])
async def test_others_are_refused(app: FastAPI, client: AsyncClient, role: str) -> None:
    visitor = await staff(app, client, role)
    assert (await visitor.open(PEOPLE)).status_code == 403
