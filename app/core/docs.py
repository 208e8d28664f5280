"""/docs and /redoc, from vendored files: no browser asks another host for anything.

Each page has a Content-Security-Policy of its own, wider than the server's default just by what its viewer needs.
The files and where they come from are in app/static/docs (LICENSES.md); `scripts/vendor_docs.py` fetches them.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from app.core.caller import PUBLIC
from app.core.crypto import random_secret
from app.core.errors import NotFound

FOLDER = Path(__file__).parent.parent / "static" / "docs"
SCRIPT, STYLE, TEXT = "text/javascript; charset=utf-8", "text/css; charset=utf-8", "text/plain; charset=utf-8"
ASSETS = {  # all that is served, and as what; a name that isn't here is a 404
    "docs.css": STYLE,
    "favicon-32x32.png": "image/png",
    "redoc.standalone.js": SCRIPT,
    "redoc.standalone.js.LICENSE.txt": TEXT,
    "start-redoc.js": SCRIPT,
    "start-swagger.js": SCRIPT,
    "swagger-ui-bundle.js": SCRIPT,
    "swagger-ui-bundle.js.LICENSE.txt": TEXT,
    "swagger-ui.css": STYLE,
}
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{style_nonce}; img-src 'self' data:; connect-src 'self';{more}"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


@dataclass(frozen=True)
class Asset:
    """A vendored file. Its digest is in the links to it, so that a browser never mixes two versions."""

    content: bytes
    media_type: str
    digest: str


@dataclass(frozen=True)
class Viewer:
    """One way to show the API: its page's name and element, the files it loads, what its policy adds."""

    path: str
    label: str
    element: str
    styles: tuple[str, ...]
    script: str
    start: str
    writes_styles: bool = False  # style elements, which then need a nonce
    more_policy: str = ""


SWAGGER = Viewer(
    path="/docs",
    label="Swagger UI",
    element="swagger-ui",
    styles=("swagger-ui.css", "docs.css"),
    script="swagger-ui-bundle.js",
    start="start-swagger.js",
)
REDOC = Viewer(
    path="/redoc",
    label="Redoc",
    element="redoc",
    styles=("docs.css",),
    script="redoc.standalone.js",
    start="start-redoc.js",
    writes_styles=True,
    more_policy=" worker-src blob:;",  # its search runs in a worker that it makes of itself
)


def install_docs(app: FastAPI) -> None:
    """Serve /docs, /redoc and their files. Where docs are off, don't call this."""
    if app.openapi_url is None:
        raise ValueError("install_docs needs an app with an openapi_url")
    # FastAPI remembers endpoints for as long as the process lives; so they hold no application, they find theirs.
    app.add_api_route("/docs", _swagger, include_in_schema=False, dependencies=[PUBLIC])
    app.add_api_route("/redoc", _redoc, include_in_schema=False, dependencies=[PUBLIC])
    app.add_api_route("/docs/assets/{file}", _asset, include_in_schema=False, dependencies=[PUBLIC])
    _assets()


async def _swagger(request: Request) -> HTMLResponse:
    return _page(SWAGGER, request)


async def _redoc(request: Request) -> HTMLResponse:
    return _page(REDOC, request)


async def _asset(file: str, request: Request) -> Response:
    if (found := _assets().get(file)) is None:
        raise NotFound
    # Only an address that names this very content may be kept for good.
    exact = request.query_params.get("v") == found.digest
    max_age = "public, max-age=31536000, immutable" if exact else "public, max-age=86400"
    return Response(found.content, media_type=found.media_type, headers={"Cache-Control": max_age, **NOSNIFF})


@cache
def _assets() -> dict[str, Asset]:
    return {name: _read(name) for name in ASSETS}


def _read(name: str) -> Asset:
    content = (FOLDER / name).read_bytes()
    return Asset(content, ASSETS[name], hashlib.sha256(content).hexdigest()[:16])


def _prefix(request: Request) -> str:
    """The path that a proxy in front serves us under: the server was told so, it is not read from a header."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _page(viewer: Viewer, request: Request) -> HTMLResponse:
    app, assets = request.app, _assets()
    title, prefix, openapi = escape(app.title), escape(_prefix(request)), escape(_prefix(request) + app.openapi_url)
    nonce = random_secret() if viewer.writes_styles else ""
    nonce_attribute = f' nonce="{nonce}"' if nonce else ""
    style_nonce = f" 'nonce-{nonce}'" if nonce else ""

    def link(name: str) -> str:
        return f"{prefix}/docs/assets/{name}?v={assets[name].digest}"

    styles = "\n".join(f'<link rel="stylesheet" href="{link(name)}">' for name in viewer.styles)
    tabs = "\n".join(
        f'<a href="{prefix}{other.path}"{" aria-current=page" if other is viewer else ""}>{other.label}</a>'
        for other in (SWAGGER, REDOC)
    )
    html = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – {viewer.label}</title>
<link rel="icon" type="image/png" href="{link("favicon-32x32.png")}">
{styles}
<script defer src="{link(viewer.script)}"{nonce_attribute}></script>
<script defer src="{link(viewer.start)}" data-openapi="{openapi}"></script>
</head>
<body>
<header class="docs-bar">
<strong>{title}</strong>
<nav aria-label="API documentation">
{tabs}
<a href="{openapi}">OpenAPI</a>
</nav>
</header>
<noscript>This page needs JavaScript. The same facts are in <a href="{openapi}">the OpenAPI document</a>.</noscript>
<div id="{viewer.element}"></div>
</body>
</html>
"""
    policy = POLICY.format(style_nonce=style_nonce, more=viewer.more_policy)
    return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store", **NOSNIFF})
