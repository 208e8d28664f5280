"""/admin/: the overview, over HTTP and in Chromium."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from playwright.async_api import Page, expect

from app.admin.charts import HEIGHT, LEAST, chart, grouped
from app.audit.facts import Fact
from app.core.health import HEALTH, HealthCheck
from app.core.server import Server
from tests.account.forms import Elements, check_page
from tests.account.scene import Scene
from tests.account.test_axe import AXE, faults_of
from tests.admin.scene import POLICY, give_role, open_console, staff
from tests.stats.scene import count, write
from tests.support.clock import TravellingClock
from tests.support.stacks import newest_migration

HOME = "/admin/"
HOSTILE = '<img src=x onerror="alert(1)">'


def overview(answer: Any) -> Elements:
    assert answer.status_code == 200, answer.text
    return check_page(answer, policy=POLICY, drawn=True)


def test_the_highest_bar_is_full_and_one_among_many_is_seen() -> None:
    drawn = chart("x", "Logins", [("10:00", 0), ("11:00", 10_000), ("12:00", 1), ("13:00", 5_000)])
    assert [(bar.y, bar.height) for bar in drawn.bars] == [(0, HEIGHT), (HEIGHT - LEAST, LEAST), (30, 30)]
    assert all(0 <= bar.x <= drawn.width - drawn.bar for bar in drawn.bars)
    assert (drawn.total, drawn.peak) == ("15\u202f001", "10\u202f000")
    assert [bar.says for bar in drawn.bars] == ["11:00: 10\u202f000", "12:00: 1", "13:00: 5\u202f000"]
    assert drawn.ticks == ["10:00", "12:00", "13:00"]
    assert chart("x", "Logins", [("10:00", 0), ("11:00", 0)]).bars == []
    assert grouped(None) == "–"


async def test_a_fresh_server_says_that_nothing_is_counted_yet(app: FastAPI, client: AsyncClient) -> None:
    boss = await staff(app, client)
    shown = await boss.open(HOME)
    elements = overview(shown)
    assert "Nothing is counted yet." in shown.text
    assert len(elements.named("svg")) == 6
    assert elements.named("rect") == []
    assert shown.text.count("none so far") == 6


async def test_numbers_charts_and_tables_agree(app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    boss = await staff(app, client)
    await write(server, Fact.LOGIN_FAILED, clock() - timedelta(hours=5), 7)
    await write(server, Fact.LOGIN_FAILED, clock() - timedelta(days=9), 3)
    await count(server, clock())
    shown = await boss.open(HOME)
    elements = overview(shown)
    assert "counted yet" not in shown.text
    # Sign-ups and logins are of this hour; failures of one hour, and of two days or three.
    charts = [part.count("<rect") for part in shown.text.split("<figure>")[1:]]
    assert charts == [1, 1, 1, 1, 1, 2]
    totals = [part.partition("</strong>")[0] for part in shown.text.split("<strong>")[1:]]
    assert totals == ["1", "1", "7", "1", "1", "10"]
    assert shown.text.count('data-label="Failed logins">7</td>') == 2
    assert f"<title>{clock() - timedelta(hours=5):%H}:00: 7</title>" in shown.text
    ticks = [part.partition("</small>")[0] for part in shown.text.split('<small class="ticks" aria-hidden="true">')[1:]]
    hours = "".join(f"<span>{clock() - timedelta(hours=back):%H}:00</span>" for back in (23, 11, 0))
    days = "".join(f"<span>{clock() - timedelta(days=back):%m-%d}</span>" for back in (29, 14, 0))
    assert ticks == [hours, hours, hours, days, days, days]
    for svg in elements.named("svg"):
        assert svg["role"] == "img"
        for name in str(svg["aria-labelledby"]).split():
            assert f'id="{name}"' in shown.text
    assert f"<dd>{newest_migration()}</dd>" in shown.text


async def test_numbers_that_grow_old_are_called_so(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    boss = await staff(app, client)
    await count(server, clock())
    assert "These numbers are old" not in (await boss.open(HOME)).text
    clock.advance(seconds=6 * 60)
    assert "These numbers are old" in (await boss.open(HOME)).text


async def test_all_staff_see_it_and_links_lead_where_one_may_go(app: FastAPI, client: AsyncClient) -> None:
    who = await staff(app, client, "support")
    assert 'href="/admin/jobs"' not in (await who.open(HOME)).text
    await give_role(app, who.username, "auditor")
    assert 'href="/admin/jobs"' in (await who.open(HOME)).text
    await give_role(app, who.username, "user")
    assert (await who.open(HOME)).status_code == 403


async def test_what_is_away_is_said_and_hostile_words_are_inert(app: FastAPI, client: AsyncClient, server: Server) -> None:
    boss = await staff(app, client)

    async def hostile() -> str:
        return HOSTILE

    async def away() -> str:
        raise ConnectionError(HOSTILE)

    server.parts[HEALTH] = [*HEALTH.of(server.parts), HealthCheck(HOSTILE, hostile), HealthCheck("redis", away)]
    shown = await boss.open(HOME)
    overview(shown)
    assert "It works, but something needs a look" in shown.text
    assert "does not answer" in shown.text
    assert HOSTILE not in shown.text
    assert "&lt;img src=x" in shown.text


@pytest.mark.parametrize(("width", "height"), [(390, 760), (1280, 800)], ids=["phone", "desk"])
async def test_axe_finds_nothing_serious_and_nothing_sticks_out(stage: Scene, width: int, height: int) -> None:
    # axe is put into the page by the test, which the page's own policy would not let happen.
    async with stage.context(bypass_csp=True, viewport={"width": width, "height": height}) as context:
        page = await context.new_page()
        await open_console(stage, page, path=HOME)
        await expect(page.locator("svg.chart")).to_have_count(6)
        for details in await page.locator("details.numbers summary").all():
            await details.click()
        await page.add_script_tag(path=AXE)
        assert await faults_of(page) == []
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")


async def test_charts_are_drawn_under_the_policy_of_the_page(stage: Scene, page: Page) -> None:
    """Nothing complains, and a bar has the colour that the stylesheet gives."""
    await open_console(stage, page, path=HOME)
    counted = page.locator("text=Nothing is counted yet")

    async def is_counted() -> None:
        await page.goto(HOME)
        await expect(counted).to_have_count(0, timeout=1_000)

    for _ in range(60):
        try:
            await is_counted()
            break
        except AssertionError:
            continue
    bar = page.locator("svg.chart rect").first
    await expect(bar).to_be_visible()
    assert await bar.evaluate("each => getComputedStyle(each).fill") not in {"none", "rgb(0, 0, 0)"}
