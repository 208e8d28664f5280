"""examples/site.py in Chromium: through Authkeep's own sign-in page and back, out again, and what another page can't do."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page, expect

from examples import site
from tests.examples.hosting import authkeep, hosted
from tests.support import api
from tests.support.processes import free_port

Urls = tuple[str, str]


@pytest.fixture
def urls(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Urls]:
    """The site's address, and Authkeep's."""
    port = free_port()
    here = f"http://localhost:{port}"
    with authkeep(env, tmp_path, NEXT_ORIGINS=here) as (server, _):
        monkeypatch.setattr(site, "AUTHKEEP", server)
        monkeypatch.setattr(site, "HERE", here)
        monkeypatch.setattr(site, "INSIDE", server)
        monkeypatch.setattr(site, "notes", {})
        with hosted(site.app, port):
            yield here, server


async def register(server: str) -> str:
    async with httpx2.AsyncClient(base_url=server) as client:
        return str((await api.register(client))["username"])


async def sign_in(page: Page, here: str, username: str) -> None:
    await page.goto(here)
    await page.get_by_label("Username or mail address").fill(username)
    await page.get_by_label("Password", exact=True).fill(api.PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.wait_for_url(f"{here}/")
    await expect(page.get_by_role("heading", name=f"Notes of {username}")).to_be_visible()


async def test_a_person_uses_it(page: Page, urls: Urls) -> None:
    here, server = urls
    username = await register(server)
    await sign_in(page, here, username)
    await page.get_by_label("Note").fill("Milk <b>and</b> bread")
    await page.get_by_role("button", name="Keep").click()
    await expect(page.get_by_role("listitem")).to_have_text("Milk <b>and</b> bread")
    cookies = {cookie.get("name"): cookie for cookie in await page.context.cookies()}
    assert cookies["authkeep"].get("httpOnly")
    await page.get_by_role("link", name="Sign out").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(here)
    await page.wait_for_url(f"{server}/account/sign-in*")


@pytest.mark.promise("P2")
async def test_an_old_cookie_opens_nothing_after_a_sign_out_elsewhere(page: Page, urls: Urls) -> None:
    here, server = urls
    username = await register(server)
    await sign_in(page, here, username)
    async with httpx2.AsyncClient(base_url=server) as client:
        await client.post("/auth/logout-all", headers=api.bearer(await api.login(client, username)))
    await page.reload()
    await page.wait_for_url(f"{server}/account/sign-in*")


@pytest.mark.asvs("V3.5.1")
async def test_a_form_of_another_page_is_refused(page: Page, urls: Urls) -> None:
    here, server = urls
    await sign_in(page, here, await register(server))
    cookie = "; ".join(f"{each.get('name')}={each.get('value')}" for each in await page.context.cookies())
    async with httpx2.AsyncClient(base_url=here, headers={"Cookie": cookie}) as client:
        for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Origin": server}):
            assert (await client.post("/", data={"note": "forged"}, headers=headers)).status_code == 403
        assert (await client.post("/", data={"note": "own"}, headers={"Origin": here})).status_code == 303  # the control
    await page.reload()
    await expect(page.get_by_role("listitem")).to_have_text("own")


async def test_where_authkeep_can_not_be_asked_nobody_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "INSIDE", f"http://localhost:{free_port()}")
    with hosted(site.app, free_port()) as here:
        async with httpx2.AsyncClient(base_url=here) as client:
            answer = await client.get("/", headers={"Cookie": "authkeep=whatever"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
