"""/static/: our own stylesheet, by a closed list of names."""

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

from app.core.caller import PUBLIC
from app.core.errors import NotFound

STATIC = Path(__file__).parents[1] / "static"
FILES = {"authkeep.css": "text/css; charset=utf-8", "authkeep.svg": "image/svg+xml"}


def install_static(app: FastAPI) -> None:
    """Serve the listed files, read once."""
    contents = {name: (STATIC / name).read_bytes() for name in FILES}

    async def static(name: str) -> Response:
        if name not in contents:
            raise NotFound
        return Response(contents[name], media_type=FILES[name], headers={"Cache-Control": "public, max-age=3600"})

    app.add_api_route("/static/{name}", static, include_in_schema=False, dependencies=[PUBLIC])
