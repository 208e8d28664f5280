"""Whole journeys in a browser, with the mails that come by SMTP."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.account.scene import NEW_PASSWORD, PASSWORD, Person, Scene, ask_magic_link, new_person, sign_in
from tests.support.smtp import text_of

CONFIRM, RESET, NEW_ADDRESS = "Confirm your mail address", "Reset your password", "Confirm your new mail address"


async def fill_sign_up(page: Page, person: Person) -> None:
    await page.goto("/account/sign-up")
    await page.get_by_label("Username").fill(person.username)
    await page.get_by_label("Mail address").fill(person.email)
    await page.get_by_label("Password", exact=True).fill(person.password)
    await page.get_by_role("button", name="Create account").click()


async def sign_out(page: Page) -> None:
    await page.get_by_role("button", name="Sign out", exact=True).first.click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def shows(page: Page, text: str) -> None:
    await expect(page.get_by_text(text).first).to_be_visible()


async def prove(page: Page, password: str = PASSWORD) -> None:
    await expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    await page.get_by_label("Password", exact=True).fill(password)
    await press(page, "Go on")


async def test_signing_up_confirming_the_address_signing_out_and_in(stage: Scene, page: Page) -> None:
    person = new_person()
    await fill_sign_up(page, person)
    await shows(page, "Welcome! We have sent you a message")
    await expect(page.get_by_text("not confirmed")).to_be_visible()
    await page.goto(await stage.link(person.email, CONFIRM))
    await shows(page, person.username)
    await press(page, "Confirm")
    await shows(page, "Your mail address is confirmed.")
    await expect(page.get_by_text("not confirmed")).to_have_count(0)
    await sign_out(page)
    await page.goto("/account/")
    await expect(page).to_have_url(f"{stage.base_url}/account/sign-in?next=/account/")
    await sign_in(page, person)
    cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
    assert cookies["authkeep"]["httpOnly"]
    assert cookies["authkeep"]["sameSite"] == "Lax"


@pytest.mark.env(EMAIL_VERIFICATION="required")
async def test_where_addresses_must_be_proved_the_code_makes_the_account(stage: Scene, page: Page) -> None:
    person = new_person()
    await fill_sign_up(page, person)
    await shows(page, "Almost done")
    text = text_of(await stage.smtp.wait_for_async(person.email, 1, CONFIRM))
    code = next(line for line in text.splitlines() if 8 <= len(line) <= 9 and line.upper() == line and " " not in line)
    await page.get_by_label("Mail address").fill(person.email)
    await page.get_by_label("Code").fill("AAAA-AAAA")
    await press(page, "Confirm")
    await shows(page, "This code is not right")
    await page.get_by_label("Code").fill(code.lower())
    await press(page, "Confirm")
    await shows(page, person.username)
    await press(page, "Confirm")
    await shows(page, "your account is ready")
    await sign_in(page, person)


async def test_forgetting_and_resetting_the_password(stage: Scene, page: Page) -> None:
    person = await stage.register()
    tokens = await stage.log_in(person, "elsewhere")
    await page.goto("/account/sign-in")
    await page.get_by_role("link", name="Forgot your password?").click()
    await page.get_by_label("Mail address").fill(person.email)
    await press(page, "Send the link")
    await shows(page, "If the address has an account")
    link = await stage.link(person.email, RESET)
    await page.goto(link)
    await page.get_by_label("New password").fill("kettle 1")
    await press(page, "Set the password")
    await page.get_by_label("New password").fill(NEW_PASSWORD)
    await press(page, "Set the password")
    await shows(page, "Sign in with the new one")
    assert await stage.status("/auth/me", tokens["access_token"]) == 401
    await page.goto(link)
    await page.get_by_label("New password").fill("yet another one 1!")
    await press(page, "Set the password")
    await shows(page, "This link no longer works")
    await sign_in(page, person, NEW_PASSWORD)


async def test_changing_the_address_and_taking_it_back_from_the_old_one(stage: Scene, page: Page) -> None:
    person = await stage.register()
    await stage.age_proofs(person)
    await sign_in(page, person)
    await stage.age_proofs(person)
    await page.goto("/account/email")
    await prove(page)
    moved = f"moved.{person.email}"
    await page.get_by_label("New mail address").fill(moved)
    await press(page, "Send the link")
    await shows(page, "We have sent a link to the new address")
    await page.goto(await stage.link(moved, NEW_ADDRESS))
    await press(page, "Use this address")
    await shows(page, "Your mail address was changed.")
    await page.goto(await stage.link(person.email, "Your mail address was changed"))
    await press(page, "Undo the change")
    await shows(page, "The change was undone")
    await page.goto(await stage.link(person.email, RESET))
    await page.get_by_label("New password").fill(NEW_PASSWORD)
    await press(page, "Set the password")
    await sign_in(page, person, NEW_PASSWORD)
    await expect(page.get_by_text(person.email).first).to_be_visible()


@pytest.mark.env(MAGIC_LINK="true")
async def test_signing_in_by_mail_in_the_browser_that_asked(stage: Scene, page: Page) -> None:
    person = await stage.register()
    await ask_magic_link(page, person.email)
    await page.goto(await stage.link(person.email, "Sign in to your account"))
    await shows(page, person.username)
    await press(page, "Sign in")
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()


@pytest.mark.env(MAGIC_LINK="true")
async def test_a_stolen_sign_in_link_opens_nothing_elsewhere_before_the_person_confirms(stage: Scene, page: Page) -> None:
    person = await stage.register()
    await ask_magic_link(page, person.email)
    link = await stage.link(person.email, "Sign in to your account")
    async with stage.context() as context:
        other = await context.new_page()
        await other.goto(link)
        await shows(other, "This was asked for in another browser")
        # As whoever made the person press the button without showing them the page: the word "confirm" is not in the form.
        await other.locator("input[name=confirm]").evaluate("field => field.remove()")
        await press(other, "I asked for it: sign in here")
        await shows(other, "This was asked for in another browser")
        await other.goto("/account/")
        await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
        # The control: the same link, confirmed.
        await other.goto(link)
        await press(other, "I asked for it: sign in here")
        await expect(other.get_by_role("heading", name="Profile")).to_be_visible()


async def test_signing_out_one_device_the_others_and_all(stage: Scene, page: Page) -> None:
    person = await stage.register()
    phone, tablet = [await stage.log_in(person, agent) for agent in ("phone/1", "tablet/1")]
    await sign_in(page, person)
    await page.get_by_role("link", name="Devices").click()
    await press(page, "Sign out phone, 127.0.0.1")
    await shows(page, "That device was signed out.")
    statuses = [await stage.status("/auth/me", tokens["access_token"]) for tokens in (phone, tablet)]
    assert statuses == [401, 200]
    await press(page, "Sign out all other devices")
    await shows(page, "All other devices were signed out.")
    assert await stage.status("/auth/me", tablet["access_token"]) == 401
    await press(page, "Sign out everywhere, here too")
    await shows(page, "You are signed out.")


async def test_a_mail_about_a_new_device_ends_its_session(stage: Scene, page: Page) -> None:
    person = await stage.register()
    await stage.log_in(person, "first/1")
    stranger = await stage.log_in(person, "stranger/1")
    await page.goto(await stage.link(person.email, "A new sign-in to your account"))
    await shows(page, "stranger")
    await press(page, "Sign it out")
    await shows(page, "That device was signed out.")
    assert await stage.status("/auth/me", stranger["access_token"]) == 401


async def test_taking_the_data_along_leaving_and_coming_back(stage: Scene, page: Page) -> None:
    person = await stage.register()
    await sign_in(page, person)
    await page.get_by_role("link", name="Your data").click()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download your data").click()
    path: Path = await (await download.value).path()
    assert person.email in json.dumps(json.loads(path.read_text()))
    await page.get_by_label(f"Yes, delete the account {person.username}").check()
    await press(page, "Delete the account")
    await shows(page, "the account will be erased in 7 days")
    await stage.smtp.wait_for_async(person.email, 1, "Your account will be erased")
    await sign_in(page, person)
    await stage.smtp.wait_for_async(person.email, 1, "Your account stays")


@pytest.mark.env(REGISTRATION="invite")
async def test_an_invitation_makes_an_account_where_nobody_else_can(stage: Scene, page: Page) -> None:
    await page.goto("/account/sign-in")
    await expect(page.get_by_role("link", name="Create one")).to_have_count(0)
    await page.goto("/account/sign-up")
    await shows(page, "New accounts need an invitation")
    guest = new_person()
    await page.goto(await stage.invite(guest.email))
    await expect(page.get_by_label("Mail address")).to_have_value(guest.email)
    await page.get_by_label("Username").fill(guest.username)
    await page.get_by_label("Password", exact=True).fill(guest.password)
    await press(page, "Accept and create the account")
    await shows(page, "Your account is ready.")
    await sign_in(page, guest)


async def test_pages_and_mails_follow_the_language_that_a_person_chooses(stage: Scene, page: Page) -> None:
    person = await stage.register()
    await sign_in(page, person)
    await page.get_by_label("Language of pages and mails").select_option("de")
    await page.get_by_label("Name that is shown").fill("Änne Müller")
    await press(page, "Save")
    await shows(page, "Gespeichert.")
    assert await page.locator("html").get_attribute("lang") == "de"
    await shows(page, "Änne Müller")
    await page.get_by_role("link", name="Passwort").click()
    await page.get_by_label("Bisheriges Passwort").fill(person.password)
    await page.get_by_label("Neues Passwort").fill(NEW_PASSWORD)
    await press(page, "Passwort ändern")
    await shows(page, "Ihr Passwort wurde geändert, und alle anderen Geräte wurden abgemeldet.")
    mail = text_of(await stage.smtp.wait_for_async(person.email, 1, "Ihr Passwort wurde geändert"))
    assert mail.startswith(f"Guten Tag {person.username},")
    async with stage.context(locale="fr-FR") as context:
        elsewhere = await context.new_page()
        await elsewhere.goto("/account/sign-in")
        await expect(elsewhere.get_by_role("button", name="Se connecter", exact=True)).to_be_visible()
