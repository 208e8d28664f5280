"""axe-core on every page in each of its states, light and dark, on a phone and on a desk."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, ViewportSize

from tests.account.scene import Scene
from tests.account.views import VIEWS, View, Visit

AXE = Path(__file__).parent / "axe" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = "async tags => (await axe.run(document, {runOnly: tags})).violations.map(v => ({...v, nodes: v.nodes.map(n => n.html)}))"
SERIOUS = {"serious", "critical"}
SIZES: dict[str, ViewportSize] = {"phone": {"width": 360, "height": 740}, "desk": {"width": 1280, "height": 800}}
HALVES = (0, 1)  # for two workers
pytestmark = pytest.mark.env(MAGIC_LINK="true", TERMS_URL="https://example.com/terms", RATE_LIMIT_FORGOT_PASSWORD="1000/minute")


def test_axe_is_the_file_that_was_published() -> None:
    """npm's axe-core@4.14.1, axe.min.js."""
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"


async def faults_of(page: Page) -> list[str]:
    """What axe, which is in the page, finds on it as it is, in either scheme."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        violations: list[dict[str, Any]] = await page.evaluate(RUN, RULES)
        found += [f"{scheme}: {each['id']}: {each['nodes'][:2]}" for each in violations if each["impact"] in SERIOUS]
    return found


async def faults_of_views(stage: Scene, views: Mapping[str, View]) -> dict[str, list[str]]:
    """What is wrong with each view, on a phone and on a desk."""
    person = await stage.register()
    found: dict[str, list[str]] = {}
    for name, look in views.items():
        # axe is put into the page by the test, which the pages' own policy would not let happen.
        async with stage.context(bypass_csp=True, viewport=SIZES["phone"]) as context:
            page = await context.new_page()
            await look(Visit(stage, page, person))
            await page.add_script_tag(path=AXE)
            for size, viewport in SIZES.items():
                await page.set_viewport_size(viewport)
                faults = await faults_of(page)
                if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    faults.append("scrolls sideways")
                if faults:
                    found[f"{name}, {size}"] = faults
    return found


@pytest.mark.parametrize("part", HALVES)
async def test_axe_finds_nothing_serious_on_any_page_and_nothing_sticks_out(stage: Scene, part: int) -> None:
    assert await faults_of_views(stage, dict(list(VIEWS.items())[part :: len(HALVES)])) == {}
    assert len(VIEWS) > 25


async def test_axe_sees_a_page_that_is_bad(stage: Scene) -> None:
    """The control: the same page without its labels and with text that is too pale."""
    async with stage.context(bypass_csp=True) as context:
        page = await context.new_page()
        await page.goto("/account/sign-in")
        await page.evaluate("for (const label of document.querySelectorAll('label')) label.remove()")
        await page.evaluate("document.querySelector('.lead').style.color = '#ccc'")
        await page.add_script_tag(path=AXE)
        found = " ".join(await faults_of(page))
    assert "label" in found
    assert "color-contrast" in found
