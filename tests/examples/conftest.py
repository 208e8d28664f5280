"""A browser for these tests."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.support.browsers import ABSENT, chromium, find_chromium


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    if find_chromium() is None:
        pytest.skip(ABSENT)
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser that has never been anywhere."""
    context = await browser.new_context(locale="en-GB")
    context.set_default_timeout(10_000)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    return await context.new_page()
