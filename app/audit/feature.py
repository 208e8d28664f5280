"""What audit plugs in."""

from app.audit.personal import EventsOf
from app.audit.service import record_denial
from app.core.caller import DENIED
from app.core.personal import PERSONAL_DATA
from app.core.server import Server


def install(server: Server) -> None:
    """Record refusals."""
    server.plug(DENIED, record_denial)
    server.plug(PERSONAL_DATA, EventsOf())
