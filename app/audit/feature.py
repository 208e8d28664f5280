"""What audit plugs in."""

from datetime import timedelta

from app.audit.chain import AuditKeys
from app.audit.heads import Sinks, read_sinks
from app.audit.personal import EventsOf
from app.audit.pruning import Pruning
from app.audit.routes import router
from app.audit.sealing import Sealer
from app.audit.service import Recorded, record_denial
from app.audit.sockets import HEAD_SINKS, KEYS
from app.audit.verifying import Trust
from app.core.caller import DENIED
from app.core.crypto import b64decode
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import STEADY


def install(server: Server) -> None:
    """Record refusals, chain what is recorded, sign heads, forget what is old enough."""
    settings = server.settings
    keys = AuditKeys(settings.audit_secret)
    recorded = Recorded()
    server.provide(keys)
    server.provide(recorded)
    server.database.after_commit.append(recorded.on_commit)
    server.plug(KEYS, keys)
    for sink in read_sinks(settings.HEAD_SINKS, server.database, server.outbound):
        server.plug(HEAD_SINKS, sink)
    sinks = Sinks(lambda: HEAD_SINKS.of(server.parts))
    server.provide(sinks)
    server.plug(STEADY, Sealer(server.database, keys, sinks, timedelta(minutes=settings.AUDIT_HEAD_MINUTES)))
    if settings.AUDIT_RETENTION_DAYS:
        trust = Trust(frozenset({keys.public, *filter(None, map(b64decode, settings.AUDIT_TRUSTED_KEYS))}), keys)
        server.plug(STEADY, Pruning(server.database, trust, keys, sinks, timedelta(days=settings.AUDIT_RETENTION_DAYS)))
    server.plug(DENIED, record_denial)
    server.plug(PERSONAL_DATA, EventsOf())
    server.routers.append(router)
