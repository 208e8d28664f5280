"""/docs and /redoc in a real Chromium that can reach nothing but the server."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browsers import ABSENT, chromium, find_chromium
from tests.support.servers import ServerProcess
from tests.support.stacks import settings_env, sqlite_url

USERNAME, EMAIL, PASSWORD = "ada", "ada@example.com", "correct horse battery!"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real server, with one account."""
    folder = tmp_path_factory.mktemp("docs")
    env = settings_env(sqlite_url(folder / "docs.db"), MIGRATE_ON_START="true")
    with ServerProcess("serve", env, folder) as process:
        process.wait_ready()
        account = {"username": USERNAME, "email": EMAIL, "password": PASSWORD}
        httpx2.post(f"{process.base_url}/auth/register", json=account).raise_for_status()
        yield process.base_url


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    if find_chromium() is None:
        pytest.skip(ABSENT)
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser, server: str) -> AsyncIterator[Page]:
    """A page that fails its test if it meets another origin, breaks its policy or complains in the console."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, base_url=server)
    page = await context.new_page()
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("worker", lambda worker: requested.append(worker.url))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("console", lambda message: complaints.append(message.text) if message.type in {"warning", "error"} else None)
    await page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI))"
    )
    yield page
    await context.close()
    assert complaints == []
    assert f"{server}/openapi.json" in requested
    local = ("data:", f"blob:{server}/", f"{server}/")
    assert [url for url in requested if not url.startswith(local)] == []


async def test_swagger_ui_shows_the_operations_and_asks_no_other_host(page: Page) -> None:
    await page.goto("/docs")
    await expect(page).to_have_title("Authkeep – Swagger UI")
    await expect(page.get_by_role("heading", name="Authkeep")).to_be_visible()
    await expect(page.locator(".opblock-summary-description", has_text="Log in").first).to_be_visible()
    await expect(page.locator(".opblock-summary-description", has_text="Who am I")).to_be_visible()


async def test_redoc_shows_the_operations_and_asks_no_other_host(page: Page) -> None:
    await page.goto("/redoc")
    await expect(page).to_have_title("Authkeep – Redoc")
    await expect(page.get_by_role("heading", name="Authkeep")).to_be_visible()
    await expect(page.get_by_role("heading", name="Who am I")).to_be_visible()
    await expect(page.get_by_role("menuitem", name="auth").first).to_be_visible()


async def test_redocs_search_finds_an_operation(page: Page) -> None:
    await page.goto("/redoc")
    await page.get_by_role("search").get_by_role("textbox").fill("log")
    await expect(page.locator("[data-role='search:results']").get_by_text("Log in").first).to_be_visible()


async def test_authorize_logs_in_through_the_form_and_a_protected_call_works(page: Page) -> None:
    await page.goto("/docs")
    await page.get_by_role("button", name="Authorize").click()
    dialog = page.locator(".modal-ux")
    await dialog.get_by_label("username").fill(USERNAME)
    await dialog.get_by_label("password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
    await dialog.get_by_role("button", name="Close").last.click()

    await page.locator(".opblock-summary-description", has_text="Who am I").click()
    await page.get_by_role("button", name="Try it out").click()
    await page.get_by_role("button", name="Execute").click()
    await expect(page.locator(".live-responses-table tr.response")).to_contain_text(EMAIL)


async def test_who_has_a_second_factor_puts_a_token_in_and_a_protected_call_works(page: Page, server: str) -> None:
    async with httpx2.AsyncClient(base_url=server) as client:
        login = await client.post("/auth/login", json={"username": USERNAME, "password": PASSWORD})
    await page.goto("/docs")
    await page.get_by_role("button", name="Authorize").click()
    dialog = page.locator(".modal-ux")
    scheme = dialog.locator(".auth-container", has_text="Token")
    await scheme.get_by_label("auth-bearer-value").fill(login.json()["access_token"])
    await scheme.get_by_role("button", name="Apply credentials").click()
    await dialog.get_by_role("button", name="Close").last.click()

    await page.locator(".opblock-summary-description", has_text="Who am I").click()
    await page.get_by_role("button", name="Try it out").click()
    await page.get_by_role("button", name="Execute").click()
    await expect(page.locator(".live-responses-table tr.response")).to_contain_text(EMAIL)
