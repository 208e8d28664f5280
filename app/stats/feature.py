"""What stats plugs in."""

from app.core.server import Server
from app.jobs.sockets import DAILY, LOCAL, STEADY
from app.stats.counting import Counter, Flusher
from app.stats.routes import router
from app.stats.service import tidy


def install(server: Server) -> None:
    """/stats, and what is counted for it."""
    server.plug(STEADY, Counter(server.database))
    server.plug(LOCAL, Flusher(server.database, server.latency))
    server.plug(DAILY, tidy)
    server.routers.append(router)
