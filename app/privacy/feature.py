"""What privacy plugs in."""

from app.core.server import Server
from app.jobs.sockets import DAILY, HANDLERS, Handler
from app.privacy.routes import router
from app.privacy.service import KIND, Erasure, remember_overdue


def install(server: Server) -> None:
    """Erase who left."""
    server.plug(HANDLERS, Handler(KIND, Erasure(server.database).run))
    server.plug(DAILY, remember_overdue)
    server.routers.append(router)
