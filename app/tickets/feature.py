"""What tickets plug in."""

from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import DAILY
from app.tickets.personal import TicketsOf
from app.tickets.service import tidy


def install(server: Server) -> None:
    """Forget old tickets daily."""
    server.plug(DAILY, tidy)
    server.plug(PERSONAL_DATA, TicketsOf())
