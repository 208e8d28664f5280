"""What work plugs in."""

from app.core.crypto import derive_key
from app.core.server import Server
from app.work.deps import WorkKit
from app.work.routes import router


def install(server: Server) -> None:
    """/jobs."""
    server.provide(WorkKit(derive_key(server.settings.SECRET_KEY.get_secret_value(), "cursor")))
    server.routers.append(router)
