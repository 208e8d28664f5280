"""What audit plugs in."""

from app.audit.service import record_denial
from app.core.caller import DENIED
from app.core.server import Server


def install(server: Server) -> None:
    """Record refusals."""
    server.plug(DENIED, record_denial)
