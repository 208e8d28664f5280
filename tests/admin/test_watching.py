"""What moves in the console by itself, and ways through several of its pages, in Chromium."""

import asyncio
import re

from playwright.async_api import Page, expect
from sqlalchemy import text

from tests.account.scene import Scene
from tests.account.views import Visit
from tests.admin.scene import open_console
from tests.admin.views import CROWD, HOSTILE, begin, crowd


async def test_new_events_show_by_themselves_and_are_no_sign_of_somebody_being_there(stage: Scene, page: Page) -> None:
    await open_console(stage, page, "auditor", "/admin/audit")
    before = await page.context.cookies()
    await expect(page.get_by_text("New events show by themselves.")).to_be_visible()
    await page.get_by_label("Address").focus()
    await page.evaluate("document.documentElement.dataset.here = 'yes'")
    somebody = await stage.register()
    row = page.locator("#events tr[id]").first
    await expect(row.get_by_role("cell", name="Registered")).to_be_visible()
    await expect(row.get_by_text(somebody.username).first).to_be_visible()
    await expect(page.get_by_label("Address")).to_be_focused()
    assert await page.evaluate("document.documentElement.dataset.here") == "yes"
    after = await page.context.cookies()
    assert [(each["name"], each["value"]) for each in after if each["name"].endswith("-console")] == [
        (each["name"], each["value"]) for each in before if each["name"].endswith("-console")
    ]
    assert any(each["name"].endswith("-console") for each in after)


async def test_from_the_list_a_bulk_action_runs_until_it_is_done_while_one_looks_on(stage: Scene, page: Page) -> None:
    await begin(Visit(stage, page, await stage.register()), f"{CROWD}1", "disable")
    status = page.locator("#progress").get_by_role("status")
    await expect(status).to_contain_text("Done")
    await expect(status).to_contain_text("10 of 10")
    await page.get_by_role("link", name="Bulk actions").click()
    await page.get_by_role("link", name="Disable").click()
    await expect(status).to_contain_text("10 of 10")
    async with stage.database() as db:
        count = text("SELECT count(*) FROM users WHERE username LIKE 'crowd1%' AND disabled_at IS NOT NULL")
        assert await db.scalar(count) == 10


async def until_sealed(stage: Scene) -> None:
    """An export holds what is in the chain, and the sealer comes once a second."""
    async with asyncio.timeout(20):
        while True:
            async with stage.database() as db:
                if await db.scalar(text("SELECT count(*) FROM audit_events WHERE position IS NULL")) == 0:
                    return
            await asyncio.sleep(0.05)


async def test_the_log_is_taken_along_as_a_file(stage: Scene, page: Page) -> None:
    boss = await open_console(stage, page, "auditor", "/admin/audit")
    await until_sealed(stage)
    for button, ending in (("Export as JSON Lines", "jsonl"), ("Export as CSV", "csv")):
        async with page.expect_download() as started:
            await page.get_by_role("button", name=button).click()
        download = await started.value
        assert download.suggested_filename.endswith(f".{ending}")
        assert "user.login.succeeded" in (await download.path()).read_text(encoding="utf-8")
    await page.goto("/admin/audit?fact=audit.exported")
    await expect(page.get_by_role("link", name=boss.username).first).to_be_visible()


async def test_from_an_event_to_the_person_and_to_all_about_them(stage: Scene, page: Page) -> None:
    somebody = await stage.register()
    await open_console(stage, page, path="/admin/audit?fact=user.registered")
    await page.get_by_role("link", name=somebody.username).first.click()
    await page.get_by_role("heading", name="What happened of late").wait_for()
    await page.get_by_role("link", name="All about this person").click()
    await expect(page).to_have_url(re.compile("/admin/audit[?]subject="))
    await expect(page.locator("#events tr[id]")).to_have_count(1)
    await expect(page.get_by_role("cell", name="Registered")).to_be_visible()


async def test_who_acts_as_a_person_stops_and_is_back_where_they_began(stage: Scene, page: Page) -> None:
    boss = await open_console(stage, page)
    visit = Visit(stage, page, boss)
    odd = await crowd(visit)
    await page.goto(f"/admin/users/{odd}")
    await expect(page.get_by_role("link", name="Act as this person")).to_have_attribute("href", f"/admin/users/{odd}/impersonate")
    await page.get_by_role("link", name="Act as this person").click()
    await page.get_by_label("Reason").fill(HOSTILE)
    await page.get_by_role("button", name=f"Act as {CROWD}00").click()
    await page.get_by_role("button", name="Stop").click()
    await expect(page).to_have_url(re.compile(f"/admin/users/{odd}"))
    await expect(page.get_by_role("heading", name="What you can do")).to_be_visible()
