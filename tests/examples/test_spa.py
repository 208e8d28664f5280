"""examples/spa in Chromium: signed in without anything in storage, across a reload, through a proof, to the sign-out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.account.factors import Phone
from tests.examples.hosting import authkeep, change_sessions, hosted
from tests.support import api
from tests.support.processes import ROOT, free_port

SPA = ROOT / "examples" / "spa"
TYPES = {".html": "text/html", ".js": "text/javascript"}
STORED = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
MARKUP = "<img src=x onerror=alert(1)>"


def files(server: str) -> Starlette:
    """The example's files. All that is changed of them is Authkeep's address."""

    async def file(request: Request) -> Response:
        path = SPA / (request.path_params["name"] or "index.html")
        if not path.exists():
            return Response(status_code=404)
        return Response(path.read_text().replace("http://localhost:8000", server), media_type=TYPES[path.suffix])

    return Starlette(routes=[Route("/{name:path}", file)])


@pytest.fixture
def spa(env: dict[str, str], tmp_path: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """The application's address, Authkeep's, and Authkeep's environment."""
    port = free_port()
    own = f"http://localhost:{port}"
    with authkeep(env, tmp_path, CORS_ORIGINS=own) as (server, full), hosted(files(server), port):
        yield own, server, full


async def register(server: str) -> str:
    async with httpx2.AsyncClient(base_url=server) as client:
        return str((await api.register(client))["username"])


async def sign_in(page: Page, url: str, username: str) -> None:
    await page.goto(url)
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Password", exact=True).fill(api.PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#name")).to_have_text(username)


@pytest.mark.asvs("V14.3.3")
async def test_a_person_uses_it(page: Page, spa: tuple[str, str, dict[str, str]]) -> None:
    url, server, env = spa
    username = await register(server)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await sign_in(page, url, username)
    # Nothing that a script could take away.
    assert await page.evaluate(STORED) == '[{},{},""]'
    cookies = {cookie.get("name"): cookie for cookie in await page.context.cookies()}
    assert cookies["authkeep-refresh"].get("httpOnly")
    # The browser keeps the session.
    await page.reload()
    await expect(page.locator("#name")).to_have_text(username)
    # A name is text.
    await page.get_by_label("Name to be called by").fill(MARKUP)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved")
    await expect(page.locator("#name")).to_have_text(MARKUP)
    # What wants a fresh proof asks for it, once.
    long_ago = datetime.now(UTC) - timedelta(minutes=11)
    await change_sessions(env, authenticated_at=long_ago)
    await page.reload()
    await expect(page.locator("#name")).to_have_text(MARKUP)
    await page.get_by_role("button", name="Everything about me").click()
    await page.get_by_label("Your password once more").fill(api.PASSWORD)
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("status")).to_contain_text("1 sessions")
    await page.get_by_role("button", name="Everything about me").click()
    await expect(page.get_by_role("status")).to_contain_text("1 sessions")
    # Out, and it stays so.
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_have_text("Signed out")
    await page.reload()
    await expect(page.get_by_label("Username")).to_be_visible()
    assert broken == []


async def guard(server: str) -> tuple[str, Phone, list[str]]:
    """Somebody with an authenticator app, and recovery codes."""
    async with httpx2.AsyncClient(base_url=server) as client:
        user = await api.new_user(client)
        phone = Phone((await client.post("/auth/mfa/totp", headers=user.headers)).json()["secret"])
        body = {"code": phone.code()}
        confirmed = await client.post("/auth/mfa/totp/confirm", json=body, headers=user.headers)
        made = await client.post("/auth/mfa/recovery-codes", headers=api.bearer(confirmed.json()))
    return user.username, phone, made.json()["codes"]


async def test_who_has_a_second_factor_gives_it(page: Page, spa: tuple[str, str, dict[str, str]]) -> None:
    url, server, env = spa
    username, phone, recovery = await guard(server)
    for code in (phone.code(), recovery[0]):
        await page.goto(url)
        await page.get_by_label("Username").fill(username)
        await page.get_by_label("Password", exact=True).fill(api.PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Code of your app, or a recovery code").fill(code)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("#name")).to_have_text(username)
        await change_sessions(env, authenticated_at=datetime.now(UTC) - timedelta(minutes=11))
        await page.reload()
        await expect(page.locator("#name")).to_have_text(username)
        await page.get_by_role("button", name="Everything about me").click()
        await page.get_by_label("Your password once more").fill(api.PASSWORD)
        await page.get_by_label("A code, if you have a second factor").fill(recovery.pop())
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("status")).to_contain_text("sessions")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Username")).to_be_visible()


async def test_a_wrong_password_and_a_session_that_ended_elsewhere_are_said(
    page: Page, spa: tuple[str, str, dict[str, str]]
) -> None:
    url, server, env = spa
    username = await register(server)
    await page.goto(url)
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Password", exact=True).fill("not the one 1!")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("status")).to_have_text("Check both and try again.")
    await sign_in(page, url, username)
    await change_sessions(env, ended_at=datetime.now(UTC), end_reason="elsewhere")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_label("Username")).to_be_visible()


async def test_two_tabs_keep_one_session(page: Page, spa: tuple[str, str, dict[str, str]]) -> None:
    url, server, _ = spa
    username = await register(server)
    await sign_in(page, url, username)
    other = await page.context.new_page()
    for _ in range(3):
        await other.goto(url)
        await expect(other.locator("#name")).to_have_text(username)
        await page.reload()
        await expect(page.locator("#name")).to_have_text(username)


@pytest.mark.asvs("V3.5.1")
async def test_a_page_of_another_origin_gets_nothing_by_the_cookie(page: Page, spa: tuple[str, str, dict[str, str]]) -> None:
    """The same code, served from an origin that Authkeep does not know; and its control above, from one that it does."""
    url, server, _ = spa
    await sign_in(page, url, await register(server))

    with hosted(files(server), free_port()) as elsewhere:
        thief = await page.context.new_page()
        await thief.goto(elsewhere)
        refused = await thief.evaluate(
            """async (server) => {
                try {
                    const answer = await fetch(server + "/auth/refresh", {method: "POST", credentials: "include",
                        headers: {"Content-Type": "application/json"}, body: '{"transport": "cookie"}'});
                    return await answer.text();
                } catch (error) { return "refused"; }
            }""",
            server,
        )
        assert refused == "refused"
    await page.reload()
    await expect(page.locator("#account")).to_be_visible()
