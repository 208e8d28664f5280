"""What users plug in."""

from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.users.personal import AccountOf
from app.users.routes import router


def install(server: Server) -> None:
    """/users/."""
    server.plug(PERSONAL_DATA, AccountOf())
    server.routers.append(router)
