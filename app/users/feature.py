"""What users plug in."""

from app.core.server import Server
from app.users.routes import router


def install(server: Server) -> None:
    """/users/."""
    server.router.include_router(router)
