"""The console in Chromium: searching while typing, by keyboard alone, without script; stored hostile text fires nothing."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.account.conftest import watched
from tests.account.scene import Scene
from tests.account.views import Visit
from tests.admin.scene import open_console
from tests.admin.views import CROWD, HOSTILE, LONG, crowd


async def test_people_are_found_while_one_types_and_the_focus_stays(stage: Scene, page: Page) -> None:
    boss = await open_console(stage, page)
    await crowd(Visit(stage, page, boss))
    await page.keyboard.press("/")
    search = page.get_by_label("Beginning of a username or mail address")
    await expect(search).to_be_focused()
    await page.keyboard.type(f"{CROWD}1")
    await expect(page.get_by_text(re.compile(r"^People: 10\b"))).to_be_visible()
    await expect(search).to_be_focused()
    await expect(page).to_have_url(re.compile(rf"\?q={CROWD}1$"))
    await page.get_by_label("Status").select_option("no")
    await expect(page.get_by_role("link", name=re.compile(f"^{CROWD}"))).to_have_text([f"{CROWD}10", f"{CROWD}17"])
    await page.reload()
    await expect(search).to_have_value(f"{CROWD}1")
    await expect(page.get_by_role("link", name=re.compile(f"^{CROWD}"))).to_have_count(2)


async def test_the_button_back_leads_to_the_search_before(stage: Scene, page: Page) -> None:
    boss = await open_console(stage, page)
    await crowd(Visit(stage, page, boss))
    await page.get_by_label("Beginning of a username or mail address").fill(f"{CROWD}07")
    await expect(page.get_by_text(re.compile(r"^People: 1\b"))).to_be_visible()
    await page.get_by_role("link", name=f"{CROWD}07").click()
    await page.get_by_role("heading", name="Profile").wait_for()
    await page.go_back()
    await expect(page.get_by_text(re.compile(r"^People: 1\b"))).to_be_visible()
    await page.go_back()
    await expect(page.get_by_text(re.compile("^People: 3[0-9]"))).to_be_visible()


async def test_an_account_is_disabled_by_keyboard_alone(stage: Scene, page: Page) -> None:
    boss = await open_console(stage, page)
    await page.goto(f"/admin/users/{await crowd(Visit(stage, page, boss))}")
    link = page.get_by_role("link", name="Disable the account")
    await link.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Disable the account").wait_for()
    await page.get_by_label("Yes, I am sure.").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Done.")).to_be_visible()
    await expect(page.get_by_role("link", name="Enable the account")).to_be_visible()


async def test_without_script_everything_works_by_forms(stage: Scene) -> None:
    async with stage.context(java_script_enabled=False) as context:
        page = await context.new_page()
        boss = await open_console(stage, page)
        await crowd(Visit(stage, page, boss))
        await page.get_by_label("Beginning of a username or mail address").fill(CROWD)
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_text(re.compile(r"^People: 30\b"))).to_be_visible()
        await page.get_by_role("link", name="Next page").click()
        await expect(page.get_by_role("link", name=re.compile(f"^{CROWD}"))).to_have_count(5)
        await page.get_by_role("link", name=f"{CROWD}29").click()
        await page.get_by_role("link", name="Edit").click()
        await expect(page.get_by_role("link", name="Cancel")).to_be_visible()


async def test_who_was_away_confirms_and_goes_on_where_they_were(stage: Scene, page: Page) -> None:
    boss = await open_console(stage, page)
    await crowd(Visit(stage, page, boss))
    await stage.age_proofs(boss)
    await page.goto(f"/admin/users/{await crowd(Visit(stage, page, boss))}/role")
    await page.get_by_label("Password", exact=True).fill(boss.password)
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("heading", name="Change the role")).to_be_visible()
    await page.get_by_label("Role").select_option("auditor")
    await page.get_by_role("button", name="Change the role").click()
    await expect(page.get_by_text("Done.")).to_be_visible()
    await expect(page.get_by_text("Auditor")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
async def test_stored_hostile_text_fires_nothing_even_when_a_script_puts_it_in(stage: Scene, width: int) -> None:
    async with stage.context(viewport={"width": width, "height": 740}) as context, watched(context) as page:
        boss = await open_console(stage, page)
        odd = await crowd(Visit(stage, page, boss))
        await page.get_by_label("Beginning of a username or mail address").fill(f"{CROWD}0")
        await expect(page.get_by_text(HOSTILE)).to_be_visible()
        await expect(page.get_by_text(LONG)).to_be_visible()
        for path in ("", "/delete", "/edit"):
            await page.goto(f"/admin/users/{odd}{path}")
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert await page.evaluate("document.querySelectorAll('main img').length") == 0
