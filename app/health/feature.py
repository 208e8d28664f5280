"""What health plugs in."""

from app.core.server import Server
from app.health.routes import router


def install(server: Server) -> None:
    """/health/."""
    server.routers.append(router)
