"""The cookie by which a browser is a known device. It proves nothing, so it opens nothing."""

from starlette.responses import Response

from app.auth.sessions import DEVICE_LIFE
from app.core.server import Server


def device_cookie(server: Server) -> str:
    """The cookie that makes a browser a known device; `__Host-` binds it to this host where TLS allows."""
    return "__Host-authkeep-device" if server.settings.is_https else "authkeep-device"


def set_device_cookie(response: Response, server: Server, device: str) -> None:
    """Let the browser be known at its next login. It proves nothing, so it opens nothing."""
    response.set_cookie(
        device_cookie(server),
        device,
        max_age=int(DEVICE_LIFE.total_seconds()),
        path="/",
        secure=server.settings.is_https,
        httponly=True,
        samesite="strict",
    )
