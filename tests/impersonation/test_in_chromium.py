"""Support at a browser: from the console into somebody's account, marked on every page, and back."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import select

from app.auth.models import Session
from app.users.models import User
from tests.account.scene import Person, Scene
from tests.account.test_axe import AXE, faults_of
from tests.admin.scene import open_console

HOSTILE = "<img src=x onerror=alert(1)> #4711"


async def path_of(stage: Scene, person: Person) -> str:
    async with stage.database() as db:
        user_id = await db.scalar(select(User.id).where(User.username == person.username))
    return f"/admin/users/{user_id}/impersonate"


async def begin(stage: Scene, page: Page, person: Person) -> None:
    """From the page that says what it does; the console is open."""
    await page.goto(await path_of(stage, person))
    await expect(page.get_by_role("heading", name=f"Act as {person.username}")).to_be_visible()
    await page.get_by_label("Reason").fill(HOSTILE)
    await page.get_by_role("button", name=f"Act as {person.username}").click()
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()


async def test_support_looks_at_an_account_sees_the_banner_and_stops(stage: Scene, page: Page) -> None:
    person = await stage.register()
    staff = await open_console(stage, page, "support")
    await begin(stage, page, person)
    banner = page.get_by_role("complementary", name="You act as somebody else")
    assert await page.get_by_label("Username").input_value() == person.username
    for link in ("Devices", "Security", "Profile"):
        await page.goto("/account/")
        await page.get_by_role("link", name=link).click()
        await expect(banner).to_contain_text(staff.username)
        await expect(banner).to_contain_text(person.username)
        await expect(page.get_by_role("button", name="Sign out", exact=True)).to_have_count(0)
    await page.goto("/account/password")
    await expect(page.get_by_role("heading", name="Not while you act as somebody else")).to_be_visible()
    await expect(banner).to_be_visible()
    await page.goto("/account/")
    await page.get_by_label("Username").fill("changed1")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Not while you act as somebody else")).to_be_visible()
    await banner.get_by_role("button", name="Stop").click()
    await expect(page).to_have_url(re.compile(r"/admin/users/[0-9a-f-]{36}\?done=acting-ended$"))
    await page.goto("/account/")
    await expect(banner).to_have_count(0)
    assert await page.get_by_label("Username").input_value() == staff.username


async def test_when_it_has_run_out_the_browser_says_so_before_it_is_its_owners_again(stage: Scene, page: Page) -> None:
    person = await stage.register()
    staff = await open_console(stage, page, "support")
    await begin(stage, page, person)
    async with stage.database() as db:
        session = (await db.scalars(select(Session).where(Session.parent_id.is_not(None)))).one()
        session.expires_at -= timedelta(hours=1)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="You act as yourself again")).to_be_visible()
    await expect(page.get_by_text(staff.username)).to_have_count(0)
    await page.goto("/account/")
    assert await page.get_by_label("Username").input_value() == staff.username


async def test_the_person_sees_it_among_the_devices_and_ends_it(stage: Scene, page: Page) -> None:
    person = await stage.register()
    staff = await open_console(stage, page, "support")
    await begin(stage, page, person)
    async with stage.context() as context:
        own = await context.new_page()
        await own.goto("/account/sign-in")
        await own.get_by_label("Username or mail address").fill(person.username)
        await own.get_by_label("Password", exact=True).fill(person.password)
        await own.get_by_role("button", name="Sign in", exact=True).click()
        await own.get_by_role("link", name="Devices").click()
        row = own.get_by_role("listitem").filter(has_text="Our support")
        await expect(row).to_be_visible()
        await expect(own.get_by_text(staff.username)).to_have_count(0)
        await row.get_by_role("button", name="Sign out").click()
        await expect(own.get_by_text("Our support")).to_have_count(0)
    await page.goto("/account/")
    await expect(page.get_by_role("heading", name="You act as yourself again")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(390, 760), (1280, 800)], ids=["phone", "desk"])
async def test_axe_finds_nothing_serious_and_nothing_sticks_out(stage: Scene, width: int, height: int, tmp_path: Path) -> None:
    person, found = await stage.register(), {}
    async with stage.context(bypass_csp=True, viewport={"width": width, "height": height}) as context:
        page = await context.new_page()
        await open_console(stage, page, "support")
        form = await path_of(stage, person)
        for name, path in (
            ("form", form),
            ("profile", "/account/"),
            ("devices", "/account/sessions"),
            ("refused", "/account/leave"),
        ):
            if name == "profile":
                await begin(stage, page, person)
            await page.goto(path)
            await page.add_script_tag(path=AXE)
            found[name] = await faults_of(page)
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found[name].append("scrolls sideways")
            shot = await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert len(shot) > 5000
    assert found == {"form": [], "profile": [], "devices": [], "refused": []}
