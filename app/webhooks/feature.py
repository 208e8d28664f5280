"""What webhooks plug in."""

from app.core.crypto import derive_key
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import DAILY, HANDLERS, STEADY, Handler
from app.webhooks import service
from app.webhooks.deps import WebhookKit
from app.webhooks.personal import ToldAbout
from app.webhooks.routes import router
from app.webhooks.sending import Sender
from app.webhooks.signing import Signer
from app.webhooks.telling import Teller
from app.webhooks.tidying import Tidier


def install(server: Server) -> None:
    """/webhooks, and the worker's part: telling and sending, in a lane of its own."""
    secret = server.settings.SECRET_KEY.get_secret_value()
    signer = Signer(derive_key(secret, "webhook-secret"))
    kit = WebhookKit(derive_key(secret, "cursor"), signer, server.outbound, server.settings.WEBHOOKS_LOOPBACK)
    server.provide(kit)
    server.plug(STEADY, Teller(server.database))
    server.plug(HANDLERS, Handler(service.KIND, Sender(server.database, kit, server.clock).run, service.LANE))
    server.plug(HANDLERS, Handler(service.TIDY_KIND, Tidier(server.database).run))
    server.plug(DAILY, service.tidy)
    server.plug(PERSONAL_DATA, ToldAbout())
    server.routers.append(router)
