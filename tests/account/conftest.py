"""A browser for the worker, a server for the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.account.scene import Scene, scene
from tests.mail.postman import postman
from tests.support.browsers import ABSENT, chromium, find_chromium
from tests.support.smtp import SmtpServer

__all__ = ["postman"]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for each xdist worker."""
    if find_chromium() is None:
        pytest.skip(ABSENT)
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def stage(browser: Browser, smtp: SmtpServer, env: dict[str, str], tmp_path: Path) -> AsyncIterator[Scene]:
    """A server as a process on this stack, with its worker and a real mail server."""
    async with scene(browser, smtp, env, tmp_path) as made:
        yield made


@pytest.fixture
async def page(stage: Scene) -> AsyncIterator[Page]:
    """A page in a browser that has never been here; it fails its test if something breaks the policy or complains."""
    async with stage.context() as context, watched(context) as page:
        yield page


@asynccontextmanager
async def watched(context: BrowserContext) -> AsyncIterator[Page]:
    """A page that fails its test if something breaks the policy or complains."""
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    page.on("console", lambda message: complaints.append(message.text) if is_complaint(message.text, message.type) else None)
    yield page
    assert complaints == []


def is_complaint(text: str, kind: str) -> bool:
    """Refusals that a page shows by their status are no complaints."""
    return kind in {"warning", "error"} and "Failed to load resource: the server responded with a status of 4" not in text
