"""What jobs plug in."""

from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.personal import JobsAbout


def install(server: Server) -> None:
    """Say what waits to be done for somebody."""
    server.plug(PERSONAL_DATA, JobsAbout())
