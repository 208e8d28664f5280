"""Every page in each state that looks different: what axe checks, and what `make screenshots` shows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from playwright.async_api import Page

from tests.account.factors import add_passkey_row, give_code, give_password, guard, press, require_factor
from tests.account.scene import Person, Scene, ask_magic_link, new_person, sign_in

DESK = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)

View = Callable[["Visit"], Awaitable[None]]
VIEWS: dict[str, View] = {}


@dataclass
class Visit:
    """Somebody looks at one page."""

    scene: Scene
    page: Page
    person: Person


def view(function: View) -> View:
    """Name a view by its function."""
    VIEWS[function.__name__.replace("_", "-")] = function
    return function


def plain(name: str, path: str) -> None:
    """A page that is just opened."""

    async def look(visit: Visit) -> None:
        await visit.page.goto(path)

    VIEWS[name] = look


def own(name: str, path: str) -> None:
    """A page that somebody signed in just opens."""

    async def look(visit: Visit) -> None:
        await sign_in(visit.page, visit.person)
        await visit.page.goto(path)

    VIEWS[name] = look


plain("sign-in", "/account/sign-in")


@view
async def sign_in_refused(visit: Visit) -> None:
    await visit.page.goto("/account/sign-in")
    await visit.page.get_by_label("Username or mail address").fill(visit.person.username)
    await visit.page.get_by_label("Password", exact=True).fill("not this one 1!")
    await visit.page.get_by_role("button", name="Sign in", exact=True).click()
    await visit.page.get_by_role("alert").wait_for()


plain("sign-up", "/account/sign-up")


@view
async def sign_up_refused(visit: Visit) -> None:
    page = visit.page
    await page.goto("/account/sign-up")
    await page.locator("form").evaluate("form => { form.noValidate = true }")
    await page.get_by_label("Username").fill("no spaces")
    await page.get_by_label("Mail address").fill("nobody")
    await page.get_by_label("Password", exact=True).fill("kettle")
    await page.get_by_role("button", name="Create account").click()
    await page.get_by_role("alert").wait_for()


@view
async def sign_up_verdict(visit: Visit) -> None:
    await visit.page.goto("/account/sign-up")
    await visit.page.get_by_label("Username").fill("alice")
    await visit.page.get_by_label("Mail address").fill("alice@example.com")
    await visit.page.get_by_label("Password", exact=True).fill("seven green kettles, humming")
    await visit.page.get_by_text("Very good.").wait_for()


plain("forgot", "/account/forgot")
plain("forgot-sent", "/account/forgot?done=mailed")
plain("reset-password", "/account/reset-password?token=abc")


@view
async def dead_link(visit: Visit) -> None:
    await visit.page.goto(f"/account/reset-password?token={'A' * 64}")
    await visit.page.get_by_label("New password").fill("quite another 1!")
    await visit.page.get_by_role("button", name="Set the password").click()
    await visit.page.get_by_role("alert").wait_for()


plain("not-found", "/account/nowhere")
plain("signed-out", "/account/sign-in?done=signed-out")
own("sign-out", "/account/sign-out")
own("reauthenticate", "/account/reauthenticate")
own("profile", "/account/")
own("password", "/account/password")
own("email", "/account/email")
own("leave", "/account/leave")
own("activity", "/account/security/activity")


@view
async def sessions(visit: Visit) -> None:
    person = await visit.scene.register()
    await visit.scene.log_in(person, PHONE)
    await sign_in(visit.page, person)
    await visit.page.goto("/account/sessions?done=session-ended")


plain("verify", "/account/verify?done=registration-mailed")
plain("verify-again", "/account/verify-again")


@view
async def verify_link(visit: Visit) -> None:
    person = await visit.scene.register()
    await visit.page.goto(await visit.scene.link(person.email, "Confirm your mail address"))


@view
async def invitation(visit: Visit) -> None:
    await visit.page.goto(await visit.scene.invite(f"{new_person().username}@example.com"))


plain("magic-link", "/account/magic-link")
plain("magic-link-sent", "/account/magic-link?done=mailed")


@view
async def magic_link_elsewhere(visit: Visit) -> None:
    person = await visit.scene.register()
    async with visit.scene.context() as context:
        page = await context.new_page()
        await ask_magic_link(page, person.email)
    await visit.page.goto(await visit.scene.link(person.email, "Sign in to your account"))


plain("email-confirm", "/account/email-confirm?token=abc")
plain("email-undo", "/account/email-undo?token=abc")


@view
async def end_session(visit: Visit) -> None:
    person = await visit.scene.register()
    for agent in (PHONE, "curl/8.1"):
        await visit.scene.log_in(person, agent)
    await visit.page.goto(await visit.scene.link(person.email, "A new sign-in"))


@view
async def profile_in_german(visit: Visit) -> None:
    await sign_in(visit.page, await visit.scene.register())
    await visit.page.get_by_label("Language of pages and mails").select_option("de")
    await visit.page.get_by_role("button", name="Save").click()
    await visit.page.get_by_text("Gespeichert.").wait_for()


async def guarded(visit: Visit, *, keys: bool = False) -> None:
    """Somebody with an app, codes and perhaps passkeys gave the password; with `keys`, the code as well, and is remembered."""
    person = await visit.scene.register()
    phone = await guard(visit.scene, person)
    if keys:
        await add_passkey_row(visit.scene, person, "My phone", synced=True)
        await add_passkey_row(visit.scene, person, "The key on my key ring, with a name that is rather long", synced=False)
    await give_password(visit.page, person)
    await visit.page.get_by_role("heading", name="Second step").wait_for()
    if keys:
        await visit.page.get_by_label("Don't ask for it on this device for 30 days").check()
        await give_code(visit.page, phone.code())
        await visit.page.get_by_role("heading", name="Profile").wait_for()


@view
async def step_refused(visit: Visit) -> None:
    await guarded(visit)
    await visit.page.get_by_label("Code of the app").fill("000000")
    await press(visit.page, "Go on")
    await visit.page.get_by_role("alert").wait_for()


@view
async def step_recovery(visit: Visit) -> None:
    await guarded(visit)
    await visit.page.get_by_role("link", name="Use a recovery code").click()
    await visit.page.get_by_label("Recovery code").wait_for()


@view
async def security(visit: Visit) -> None:
    await guarded(visit, keys=True)
    await visit.page.goto("/account/security?done=passkey-added")
    await visit.page.get_by_role("button", name="Add a passkey").wait_for()


@view
async def reauthenticate_passkey(visit: Visit) -> None:
    await guarded(visit, keys=True)
    await visit.page.goto("/account/reauthenticate?by=passkey&next=/account/security")
    await press(visit.page, "Use a passkey")
    await visit.page.get_by_text("Passkeys don't work at this address.").wait_for()


@view
async def enrol(visit: Visit) -> None:
    person = await visit.scene.register()
    await require_factor(visit.scene, person)
    await give_password(visit.page, person)
    await visit.page.get_by_role("heading", name="Add a second factor").wait_for()


@view
async def totp(visit: Visit) -> None:
    await sign_in(visit.page, await visit.scene.register())
    await visit.page.goto("/account/security")
    await press(visit.page, "Set up an app")
    await visit.page.get_by_label("Code of the app").wait_for()


@view
async def recovery_codes(visit: Visit) -> None:
    await guarded(visit, keys=True)
    await visit.page.goto("/account/security")
    await press(visit.page, "Make new codes")
    await visit.page.get_by_role("button", name="Print").wait_for()
