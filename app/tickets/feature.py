"""What tickets plug in."""

from app.core.server import Server
from app.jobs.sockets import DAILY
from app.tickets.service import tidy


def install(server: Server) -> None:
    """Forget old tickets daily."""
    server.plug(DAILY, tidy)
