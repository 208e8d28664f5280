"""Pages of somebody else against ours: forms, frames, planted cookies, hostile names. Each with its control."""

from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.account.conftest import is_complaint
from tests.account.factors import add_passkey_row, remove_passkey_rows, strengthen
from tests.account.scene import Person, Scene, scene, sign_in
from tests.account.views import VIEWS, Visit
from tests.support.smtp import SmtpServer

EVIL = "https://evil.example"
BROKEN = Path(__file__).parent / "broken" / "no_form_check.py"
HOSTILE = [
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "{{7*7}}${7*7}{%print(1)%}%(x)s",
    "javascript:alert(1)",
    "</form><form action=//evil.example>",
    "<svg/onload=alert(1)>",
]


async def open_evil(context: BrowserContext, html: str) -> Page:
    """A page of another site, which does not exist but in this browser."""

    async def answer(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=html)

    await context.route(f"{EVIL}/**", answer)
    page = await context.new_page()
    await page.goto(f"{EVIL}/")
    return page


def form(base_url: str, path: str, **fields: str) -> str:
    inputs = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in fields.items())
    return f'<form method="post" action="{base_url}{path}">{inputs}<button>Win a prize</button></form>'


@pytest.fixture
async def broken(browser: Browser, smtp: SmtpServer, env: dict[str, str], tmp_path: Path) -> AsyncIterator[Scene]:
    """The same server, which takes every form."""
    async with scene(browser, smtp, env, tmp_path / "broken", launcher=BROKEN) as made:
        yield made


async def lure(stage: Scene, attacker: Person) -> str:
    """What a victim sees who pressed the button of a page that signs them in as somebody else."""
    async with stage.context() as context:
        fields = {"username": attacker.username, "password": attacker.password}
        page = await open_evil(context, form(stage.base_url, "/account/sign-in", **fields))
        await page.get_by_role("button").click()
        await page.wait_for_url(f"{stage.base_url}/**")
        return await page.get_by_role("heading", level=1).inner_text()


@pytest.mark.asvs("V3.5.1")
async def test_a_form_of_another_origin_is_refused(stage: Scene) -> None:
    assert await lure(stage, await stage.register()) == "Please try again"


async def test_a_server_that_takes_every_form_signs_the_victim_in_as_somebody_else(broken: Scene) -> None:
    """The control."""
    assert await lure(broken, await broken.register()) == "Profile"


async def frame_text(stage: Scene, *, stripped: bool) -> str:
    """What a frame on another site shows of the sign-in page; `stripped` of the headers that forbid it."""
    async with stage.context() as context:

        async def strip(route: Route) -> None:
            answer = await route.fetch()
            kept = {"content-type": answer.headers["content-type"]}
            await route.fulfill(status=answer.status, headers=kept, body=await answer.body())

        if stripped:
            await context.route(f"{stage.base_url}/account/sign-in", strip)
        page = await open_evil(context, f'<iframe src="{stage.base_url}/account/sign-in"></iframe>')
        frame = page.frames[-1]
        await frame.wait_for_load_state()
        return await frame.locator("body").inner_text()


@pytest.mark.asvs("V3.4.6")
async def test_a_page_shows_in_no_frame_of_another_site(stage: Scene) -> None:
    assert "Sign in" not in await frame_text(stage, stripped=False)
    assert "Sign in" in await frame_text(stage, stripped=True)  # the control


@pytest.mark.asvs("V7.2.4")
async def test_a_session_that_was_planted_is_not_the_one_a_person_signs_in_to(stage: Scene) -> None:
    attacker, victim = await stage.register(), await stage.register()
    async with stage.context() as theirs, stage.context() as mine:
        await sign_in(await theirs.new_page(), attacker)
        planted = next(cookie for cookie in await theirs.cookies() if cookie["name"] == "authkeep")
        await mine.add_cookies([{"name": "authkeep", "value": planted["value"], "url": stage.base_url}])
        page = await mine.new_page()
        await page.goto("/account/")
        await expect(page.get_by_text(attacker.email)).to_be_visible()  # the control: it is planted
        await page.goto("/account/sign-out")
        await page.get_by_role("button", name="Sign out").click()
        await mine.add_cookies([{"name": "authkeep", "value": planted["value"], "url": stage.base_url}])
        await sign_in(page, victim)
        kept = next(cookie for cookie in await mine.cookies() if cookie["name"] == "authkeep")
        assert kept["value"] != planted["value"]
        other = await theirs.new_page()
        await other.goto("/account/")
        await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.asvs("V1.2.1", "V3.2.2")
async def test_hostile_names_user_agents_and_links_fire_nothing(stage: Scene) -> None:
    person = await stage.register()
    fired: list[str] = []
    for text in HOSTILE:
        await stage.log_in(person, text)
        async with stage.context(user_agent=text) as context:
            page = await context.new_page()
            page.on("dialog", lambda dialog: fired.append(dialog.message))
            page.on("pageerror", lambda error: fired.append(str(error)))
            page.on("console", lambda said: fired.append(said.text) if is_complaint(said.text, said.type) else None)
            await sign_in(page, person)
            await page.get_by_label("Name that is shown").fill(text)
            await page.get_by_role("button", name="Save").click()
            await expect(page.get_by_label("Name that is shown")).to_have_value(text)
            await add_passkey_row(stage, person, text, synced=True)
            await strengthen(stage)
            for path in ("/account/sessions", "/account/leave", "/account/sign-out", "/account/security"):
                await page.goto(path)
            await expect(page.get_by_role("heading", name=text)).to_be_visible()
            await remove_passkey_rows(stage)
            await context.clear_cookies()
            query = urlencode(dict.fromkeys(("token", "next", "done", "username", "email", "lang"), text))
            for path in ("sign-in", "sign-up", "forgot", "reset-password", "verify", "email-undo", "end-session", "invitation"):
                await page.goto(f"/account/{path}?{query}")
    assert fired == []


async def test_the_listener_hears_what_fires(stage: Scene) -> None:
    """The control: the same text as HTML, in a page without our policy."""
    fired: list[str] = []
    async with stage.context() as context:
        page = await open_evil(context, f"<p>Hello {HOSTILE[1]}</p>")

        async def hear(dialog: object) -> None:
            fired.append("dialog")
            assert hasattr(dialog, "dismiss")
            await dialog.dismiss()

        page.on("dialog", hear)
        await page.reload()
    assert fired == ["dialog"]


async def test_every_view_is_shown_without_a_word_in_the_console(stage: Scene) -> None:
    person = await stage.register()
    complaints: list[tuple[str, str]] = []
    for name, look in VIEWS.items():
        if "magic" in name:
            continue
        async with stage.context() as context:
            page = await context.new_page()

            def hear(text: str, kind: str, name: str = name) -> None:
                if is_complaint(text, kind):
                    complaints.append((name, text))

            page.on("console", lambda message: hear(message.text, message.type))
            page.on("pageerror", lambda error: hear(str(error), "error"))
            await look(Visit(stage, page, person))
    assert complaints == []
