"""What bulk plugs in."""

from app.auth.deps import AuthKit
from app.bulk import running, service
from app.bulk.acts import Acts
from app.bulk.deps import BulkKit
from app.bulk.personal import BulkOf
from app.bulk.routes import router
from app.core.crypto import derive_key
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import DAILY, HANDLERS, Handler
from app.mfa.deps import MfaKit


def install(server: Server) -> None:
    """/users/bulk, and the worker's part in it."""
    server.provide(BulkKit(derive_key(server.settings.SECRET_KEY.get_secret_value(), "cursor")))
    acts = Acts(server.kit(AuthKit), server.kit(MfaKit))
    server.plug(HANDLERS, Handler(service.KIND, running.Runner(server.database, acts).run))
    server.plug(HANDLERS, Handler(service.TIDY_KIND, running.Tidier(server.database).run))
    server.plug(PERSONAL_DATA, BulkOf())
    server.plug(DAILY, service.tidy)
    server.routers.insert(0, router)  # "/users/bulk" must be asked before "/users/{user_id}"
