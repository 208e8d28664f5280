"""What impersonation plugs in."""

from app.core.server import Server
from app.impersonation.routes import router
from app.impersonation.service import ImpersonationKit


def install(server: Server) -> None:
    """The route."""
    server.provide(ImpersonationKit(tells=server.settings.IMPERSONATION_MAIL))
    server.routers.append(router)
