"""Every page of accounts and of the console as a person sees it: light and dark, 390 and 1280 pixels wide. `make screenshots`.

Starts a server of its own on a new SQLite file, walks through it with Debian's Chromium, and writes one sheet for each look
into docs/img/pages. `--each FOLDER` keeps the single pictures too, `--only NAME` takes just the views of such a name.
"""

import argparse
import asyncio
import sys
import tempfile
from base64 import b64encode
from html import escape
from pathlib import Path

from playwright.async_api import Browser

from tests.account.scene import Scene, scene
from tests.account.views import DESK, Visit
from tests.account.views import VIEWS as ACCOUNT_VIEWS
from tests.admin.views import VIEWS as CONSOLE_VIEWS
from tests.support.browsers import ABSENT, chromium, find_chromium
from tests.support.smtp import SmtpServer
from tests.support.stacks import settings_env, sqlite_url

VIEWS = {**ACCOUNT_VIEWS, **CONSOLE_VIEWS}
ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "img" / "pages"
SCHEMES = ("light", "dark")
HEIGHTS = {390: 760, 1280: 800}
PER_ROW = {390: 7, 1280: 4}
SHOWN = {390: 150, 1280: 350}  # how wide a picture is on its sheet
SHEET = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 16px; width: max-content; font: 13px system-ui; background: {ground}; color: {ink} }}
main {{ display: grid; grid-template-columns: repeat({columns}, {width}px); gap: 16px }}
figure {{ margin: 0 }} figcaption {{ padding: 0 0 4px }}
img {{ width: {width}px; display: block; border: 1px solid {line}; border-radius: 4px }}
</style><main>{figures}</main>"""
COLOURS = {
    "light": {"ground": "#fff", "ink": "#333", "line": "#ccc"},
    "dark": {"ground": "#000", "ink": "#ccc", "line": "#444"},
}
BRAND = {
    "MAGIC_LINK": "true",
    "PRODUCT_NAME": "Harbour",
    "TERMS_URL": "https://example.com/terms",
    "PRIVACY_URL": "https://example.com/privacy",
}


async def shoot(stage: Scene, scheme: str, width: int, only: str) -> dict[str, bytes]:
    """A picture of each view."""
    person = await stage.register(f"amelia{scheme[0]}{width}")
    pictures = {}
    for name, look in VIEWS.items():
        if only not in name:
            continue
        viewport = {"width": width, "height": HEIGHTS[width]}
        options = {"color_scheme": scheme, "reduced_motion": "reduce", "timezone_id": "UTC", "user_agent": DESK}
        async with stage.context(viewport=viewport, **options) as context:
            page = await context.new_page()
            await look(Visit(stage, page, person))
            pictures[name] = await page.screenshot(full_page=True, caret="hide")
    return pictures


async def sheet(browser: Browser, pictures: dict[str, bytes], scheme: str, width: int) -> bytes:
    """All pictures of one look on one."""
    figures = "".join(
        f'<figure><figcaption>{escape(name)}</figcaption><img src="data:image/png;base64,{b64encode(picture).decode()}"></figure>'
        for name, picture in pictures.items()
    )
    html = SHEET.format(figures=figures, columns=PER_ROW[width], width=SHOWN[width], **COLOURS[scheme])
    page = await browser.new_page(viewport={"width": 1700, "height": 800})
    await page.set_content(html)
    await page.wait_for_function("[...document.images].every(image => image.complete)")
    picture = await page.locator("body").screenshot()
    await page.close()
    return picture


def keep(folder: Path, pictures: dict[str, bytes]) -> None:
    """Write pictures by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(picture)


async def run(each: Path | None, only: str) -> None:
    """Everything, one look after the other."""
    with SmtpServer() as smtp, tempfile.TemporaryDirectory() as folder:
        env = settings_env(sqlite_url(Path(folder) / "shots.db"), smtp=smtp) | BRAND
        async with chromium() as browser, scene(browser, smtp, env, Path(folder)) as stage:
            for scheme in SCHEMES:
                for width in HEIGHTS:
                    pictures = await shoot(stage, scheme, width, only)
                    if each is not None:
                        keep(each, {f"{name}-{scheme}-{width}": picture for name, picture in pictures.items()})
                    if not only:
                        keep(TARGET, {f"{scheme}-{width}": await sheet(browser, pictures, scheme, width)})
                    print(f"{scheme} {width}: {len(pictures)} pages")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=Path, help="a folder for the single pictures")
    parser.add_argument("--only", default="", help="part of a view's name; then no sheets are written")
    arguments = parser.parse_args()
    if find_chromium() is None:
        sys.exit(ABSENT)
    asyncio.run(run(arguments.each, arguments.only))


if __name__ == "__main__":
    main()
