"""/static/: our own stylesheet and scripts by a closed list of names, and the brand's colours and logo."""

from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import Response

from app.core.brand import Brand
from app.core.caller import PUBLIC
from app.core.crypto import fingerprint
from app.core.errors import NotFound

STATIC = Path(__file__).parents[1] / "static"
CSS, SVG, SCRIPT = "text/css; charset=utf-8", "image/svg+xml", "text/javascript; charset=utf-8"
FILES = {
    "authkeep.css": ("authkeep.css", CSS),
    "authkeep.svg": ("authkeep.svg", SVG),
    "console.js": ("js/console.js", SCRIPT),
    "htmx.min.js": ("js/htmx.min.js", SCRIPT),
    "passkey-forms.js": ("js/passkey-forms.js", SCRIPT),
    "passkeys.js": ("js/passkeys.js", SCRIPT),
    "password.js": ("js/password.js", SCRIPT),
    "print.js": ("js/print.js", SCRIPT),
    "time.js": ("js/time.js", SCRIPT),
}
BRAND_CSS, BRAND_LOGO = "brand.css", "brand-logo"
# A picture may be opened by itself, and an SVG is a document then: it may do nothing, and is nobody's origin.
POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


@cache
def _content(name: str) -> bytes:
    return (STATIC / FILES[name][0]).read_bytes()


@cache
def _version(name: str) -> str:
    return fingerprint(_content(name))


def asset(name: str) -> str:
    """The path of one of our files, which changes with its content."""
    return f"/static/{name}?v={_version(name)}"


def install_static(app: FastAPI, brand: Brand) -> None:
    """Serve the listed files, read once."""
    files = {name: (_content(name), media_type, _version(name)) for name, (_, media_type) in FILES.items()}
    files[BRAND_CSS] = (brand.css, CSS, brand.version)
    if brand.logo is not None:
        files[BRAND_LOGO] = (brand.logo.content, brand.logo.media_type, brand.version)

    async def static(name: str, request: Request) -> Response:
        if name not in files:
            raise NotFound
        content, media_type, version = files[name]
        # Only an address that names this very content may be kept for good.
        exact = request.query_params.get("v") == version
        kept = "public, max-age=31536000, immutable" if exact else "public, max-age=3600"
        return Response(content, media_type=media_type, headers={"Cache-Control": kept, "Content-Security-Policy": POLICY})

    app.add_api_route("/static/{name}", static, include_in_schema=False, dependencies=[PUBLIC])
