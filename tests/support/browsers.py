"""Debian's Chromium for tests and scripts: one for a worker, and it reaches nothing but this machine."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright, expect

expect.set_options(timeout=30_000)  # four workers on two cores; what is there is seen at once

ABSENT = "chromium is not installed (make ci-deps)"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


def find_chromium() -> str | None:
    """Where it is; Debian's build for machines without a screen takes a quarter less of the processor."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    executable = find_chromium()
    assert executable is not None, ABSENT
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            await browser.close()
