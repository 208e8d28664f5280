"""Second factors and passkeys through the pages, in a browser, with the mails that come by SMTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Error, Page, expect

from tests.account.conftest import watched
from tests.account.factors import give_code, give_password, is_in, local, phone_of, press, set_up_app, shows, virtual
from tests.account.scene import Scene, sign_in
from tests.account.test_journeys import sign_out
from tests.passkeys.browser import KEY, PHONE
from tests.support.smtp import SmtpServer

NO_AUTOFILL = "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
AT_ONCE = {"MFA": "required", "MFA_GRACE_DAYS": "0"}


@pytest.fixture
async def named(browser: Browser, smtp: SmtpServer, env: dict[str, str], tmp_path: Path) -> AsyncIterator[Scene]:
    async with local(browser, smtp, env, tmp_path) as made:
        yield made


async def test_an_app_is_set_up_asked_for_and_stood_in_for_by_a_recovery_code(stage: Scene, page: Page) -> None:
    person = await stage.register()
    await sign_in(page, person)
    await page.get_by_role("link", name="Security").click()
    await press(page, "Set up an app")
    phone = await phone_of(page)
    await expect(page.locator(".qr svg")).to_be_visible()
    await page.get_by_label("Code of the app").fill(phone.wrong())
    await press(page, "Confirm")
    await shows(page, "This is not right, or it was used before.")
    assert await phone_of(page) == phone  # the same picture as before
    await page.get_by_label("Code of the app").fill(phone.code())
    await press(page, "Confirm")
    await shows(page, "The authenticator app counts from now on.")
    await stage.smtp.wait_for_async(person.email, 1, "A second factor was added")
    codes = await make_codes(page)
    await sign_out(page)

    await give_password(page, person)
    await shows(page, f"One more proof that it is you, {person.username}.")
    await give_code(page, phone.wrong())
    await shows(page, "This is not right, or it was used before.")
    await page.get_by_label("Don't ask for it on this device for 30 days").check()
    await give_code(page, phone.code())
    await is_in(page)
    await sign_out(page)
    await give_password(page, person)
    await is_in(page)  # the device is remembered
    await page.goto("/account/security")
    await page.get_by_label("Password", exact=True).fill(person.password)
    await page.get_by_label("Code of the app").fill(phone.code())
    await press(page, "Go on")
    await press(page, "Ask on all of them again")
    await shows(page, "Every device will be asked for the second factor again.")
    await page.goto("/account/")
    await sign_out(page)

    await give_password(page, person)
    await page.get_by_role("link", name="Use a recovery code").click()
    await page.get_by_label("Recovery code").fill(codes[3].lower().replace("-", " "))
    await press(page, "Go on")
    await is_in(page)
    await stage.smtp.wait_for_async(person.email, 1, "A recovery code of your account was used")
    await page.goto("/account/security")
    await shows(page, "9 left. New ones make these void.")


async def make_codes(page: Page) -> list[str]:
    """Shown once, to be kept as a file."""
    await press(page, "Make recovery codes")
    codes = await page.locator(".codes li").all_inner_texts()
    assert len(set(codes)) == 10
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download as a text file").click()
    text = (await (await download.value).path()).read_text()
    assert [line for line in text.splitlines() if line in codes] == codes
    await expect(page.get_by_role("button", name="Print")).to_be_visible()
    await page.get_by_role("link", name="I have kept them").click()
    await shows(page, "10 left. New ones make these void.")
    with pytest.raises(Error, match="ERR_CACHE_MISS"):  # the button back finds nothing that was kept
        await page.go_back()
    await page.wait_for_url("chrome-error://**")  # the browser's own page about that
    await page.goto("/account/")
    return codes


async def test_a_passkey_is_added_is_the_second_step_and_the_whole_login(named: Scene) -> None:
    person = await named.register()
    async with named.context() as context, watched(context) as page, virtual(named, page) as device:
        authenticator = await device.plug(PHONE)
        await sign_in(page, person)
        await page.goto("/account/security")
        await page.get_by_label("Name of the passkey").fill("My phone <b>&amp;")
        await press(page, "Add a passkey")
        await shows(page, "The passkey was added.")
        await expect(page.get_by_role("heading", name="My phone <b>&amp;")).to_be_visible()
        await shows(page, "not used yet")
        await named.smtp.wait_for_async(person.email, 1, "A second factor was added")
        await press(page, "Add a passkey")
        await shows(page, "This device has a passkey for your account already.")
        await page.locator(".acts summary").click()
        await page.get_by_label("New name").fill("Old phone")
        await press(page, "Save")
        await shows(page, "The passkey has a new name.")
        await device.touch(authenticator, willing=False)
        await sign_out(page)

        # As the second step: first nobody is there, then somebody.
        await give_password(page, person)
        await shows(page, "One more proof that it is you")
        await device.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": True})
        await device.touch(authenticator, willing=True)
        await press(page, "Use a passkey")
        await is_in(page)

        # As the whole login: filled in without a click, as soon as somebody chooses it; and by the button.
        await page.get_by_role("button", name="Sign out", exact=True).first.click()
        await is_in(page)
        await page.add_init_script(NO_AUTOFILL)  # it would be faster than the button
        await sign_out(page)
        await press(page, "Sign in with a passkey")
        await is_in(page)

        # Removed on the device: the ways on.
        await device.cdp.send("WebAuthn.clearCredentials", {"authenticatorId": authenticator})
        await sign_out(page)
        await press(page, "Sign in with a passkey")
        await shows(page, "It was cancelled, or nothing here fits.")
        await page.get_by_label("Username or mail address").fill(person.username)
        await press(page, "Sign in with a passkey")
        await shows(page, "It was cancelled, or nothing here fits.")
        await give_password(page, person)
        await shows(page, "One more proof that it is you")


async def test_a_key_without_pin_goes_along_with_the_password_and_is_removed(named: Scene) -> None:
    person = await named.register()
    async with named.context() as context, watched(context) as page, virtual(named, page) as device:
        await device.plug(KEY)
        await sign_in(page, person)
        await page.goto("/account/security")
        await press(page, "Add a passkey")
        await shows(page, "Asks for no PIN or finger")
        await named.age_proofs(person)
        await page.goto("/account/security")
        await shows(page, "What you are about to do needs your passkey once more.")
        await press(page, "Use a passkey")
        await shows(page, "This is not right, or it was used before.")  # alone it is no proof
        await page.get_by_label("Password", exact=True).fill(person.password)
        await press(page, "Use a passkey")
        await press(page, "Remove Passkey")
        await shows(page, "The passkey was removed.")
        await named.smtp.wait_for_async(person.email, 1, "A second factor was removed")
        await sign_out(page)
        await sign_in(page, person)


async def test_an_account_that_does_without_a_password(named: Scene) -> None:
    person = await named.register()
    async with named.context() as context, watched(context) as page, virtual(named, page) as device:
        await device.plug(PHONE)
        await sign_in(page, person)
        await page.goto("/account/security")
        await press(page, "Add a passkey")
        await page.get_by_label("Yes, remove my password").check()
        await press(page, "Remove the password")
        await shows(page, "To do without a password you need two passkeys")
        await press(page, "Make recovery codes")
        await page.get_by_role("link", name="I have kept them").click()
        await page.get_by_label("Yes, remove my password").check()
        await press(page, "Remove the password")
        await shows(page, "Your account has no password any more.")
        await named.age_proofs(person)
        await page.goto("/account/email")
        await expect(page.get_by_label("Password", exact=True)).to_have_count(0)
        await press(page, "Use a passkey")
        await expect(page.get_by_role("heading", name="Mail address", exact=True)).to_be_visible()


@pytest.mark.env(**AT_ONCE)
@pytest.mark.parametrize("factor", ["app", "passkey"])
async def test_where_a_factor_is_required_it_is_added_while_signing_in(named: Scene, factor: str) -> None:
    person = await named.register()
    async with named.context() as context, watched(context) as page, virtual(named, page) as device:
        await page.goto("/account/password")
        await page.get_by_label("Username or mail address").fill(person.username)
        await page.get_by_label("Password", exact=True).fill(person.password)
        await press(page, "Sign in")
        await shows(page, f"Here your account needs one, {person.username}.")
        if factor == "passkey":
            await device.plug(PHONE)
            await press(page, "Add a passkey")
        else:
            await press(page, "Set up an app")
            phone = await phone_of(page)
            for code in (phone.wrong(), phone.code()):
                await page.get_by_label("Code of the app").fill(code)
                await press(page, "Confirm")
        await expect(page.get_by_role("heading", name="Change your password")).to_be_visible()


async def test_no_authenticator_no_script_and_too_many_tries_each_have_a_way_on(named: Scene) -> None:
    person = await named.register()
    async with named.context() as context, watched(context) as page:
        await sign_in(page, person)
        phone = await set_up_app(page)
    async with named.context() as context, watched(context) as page:
        await give_password(page, person)
        for _ in range(6):
            await give_code(page, phone.wrong())
        await shows(page, "This sign-in can't go on")
        await page.get_by_role("link", name="Sign in again").click()
        await give_password(page, person)
        await give_code(page, phone.code())
        await is_in(page)
        await page.go_back()
        await is_in(page)  # there is no step any more
    async with named.context(java_script_enabled=False) as context:
        page = await context.new_page()
        await give_password(page, person)
        await give_code(page, phone.code())
        await page.goto("/account/security")
        await shows(page, "Passkeys need JavaScript")
        await expect(page.get_by_role("button", name="Add a passkey")).to_have_count(0)
