"""By keyboard alone, and with script off: signing up, signing in by one step and by two, resetting."""

import pytest
from playwright.async_api import Page, expect

from tests.account.factors import phone_of
from tests.account.scene import NEW_PASSWORD, Scene, new_person

MOST_TABS = 25


async def tab_to(page: Page, identity: str) -> None:
    """Press Tab until what has this id, or is a button of this name, has the focus."""
    for _ in range(MOST_TABS):
        focused = page.locator(":focus")
        if await focused.count() and await names(focused.first) & {identity}:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{identity} is not reached by keyboard")


async def names(focused: object) -> set[str]:
    assert hasattr(focused, "get_attribute")
    assert hasattr(focused, "text_content")
    return {await focused.get_attribute("id") or "", (await focused.text_content() or "").strip()}


async def type_into(page: Page, **fields: str) -> None:
    for name, text in fields.items():
        await tab_to(page, name)
        await page.keyboard.press("Control+A")
        await page.keyboard.type(text)


async def press(page: Page, name: str) -> None:
    await tab_to(page, name)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


@pytest.mark.parametrize("script", [True, False], ids=["keyboard alone", "keyboard and no script"])
async def test_signing_up_out_and_in_and_resetting(stage: Scene, *, script: bool) -> None:
    person = new_person()
    async with stage.context(java_script_enabled=script) as context:
        page = await context.new_page()
        await page.goto("/account/sign-up")
        await type_into(page, username=person.username, email="nonsense@", password=person.password)
        await type_into(page, email=person.email)
        await press(page, "Create account")
        await expect(page.get_by_role("heading", name="Profile")).to_be_visible()
        await press(page, "Sign out")
        await type_into(page, username=person.username, password="not this one 1!")
        await press(page, "Sign in")
        await expect(page.get_by_role("alert")).to_contain_text("The username or the password is wrong.")
        assert await page.locator(":focus").get_attribute("id") == "summary"  # so a screen reader begins there
        await type_into(page, username=person.username, password=person.password)
        await press(page, "Sign in")
        await expect(page.get_by_role("heading", name="Profile")).to_be_visible()
        await press(page, "Sign out")
        await press(page, "Forgot your password?")
        await type_into(page, email=person.email)
        await press(page, "Send the link")
        await page.goto(await stage.link(person.email, "Reset your password"))
        await type_into(page, new_password=NEW_PASSWORD)
        await press(page, "Set the password")
        await expect(page.locator(".notice")).to_contain_text("Sign in with the new one")
        await type_into(page, username=person.email, password=NEW_PASSWORD)
        await press(page, "Sign in")
        await expect(page.get_by_role("heading", name="Profile")).to_be_visible()


async def test_with_script_the_server_says_how_good_a_password_is_and_it_can_be_shown(stage: Scene) -> None:
    async with stage.context() as context:
        page = await context.new_page()
        await page.goto("/account/sign-up")
        await page.get_by_label("Username").fill("marguerite")
        field = page.get_by_label("Password", exact=True)
        for typed, verdict in {
            "Marguerite1!": "your username in disguise",
            "kettle": "Use at least 8 characters",
            "Password1!": "attackers try first",
            "seven green kettles, humming": "Very good.",
        }.items():
            await field.fill(typed)
            await expect(page.locator("#password-verdict")).to_contain_text(verdict)
        assert await field.get_attribute("type") == "password"
        await page.get_by_role("button", name="Show").click()
        assert await field.get_attribute("type") == "text"
        await page.get_by_role("button", name="Hide").click()
        assert await field.get_attribute("type") == "password"


@pytest.mark.parametrize("script", [True, False], ids=["keyboard alone", "keyboard and no script"])
async def test_setting_up_an_app_and_signing_in_by_both_steps(stage: Scene, *, script: bool) -> None:
    person = await stage.register()
    async with stage.context(java_script_enabled=script) as context:
        page = await context.new_page()
        await page.goto("/account/sign-in")
        await type_into(page, username=person.username, password=person.password)
        await press(page, "Sign in")
        await press(page, "Security")
        await press(page, "Set up an app")
        phone = await phone_of(page)
        await type_into(page, otp=phone.wrong())
        await press(page, "Confirm")
        assert await page.locator(":focus").get_attribute("id") == "summary"
        await type_into(page, otp=phone.code())
        await press(page, "Confirm")
        await press(page, "Make recovery codes")
        code = await page.locator(".codes li").first.inner_text()
        await press(page, "I have kept them")
        await press(page, "Sign out")
        for way in ("app", "recovery code"):
            await type_into(page, username=person.username, password=person.password)
            await press(page, "Sign in")
            await expect(page.get_by_role("heading", name="Second step")).to_be_visible()
            if way == "app":
                await type_into(page, otp=phone.code())
            else:
                await press(page, "Use a recovery code")
                await type_into(page, recovery_code=code)
            await press(page, "Go on")
            await expect(page.get_by_role("heading", name="Profile")).to_be_visible()
            await press(page, "Sign out")
