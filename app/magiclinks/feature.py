"""What magic links plug in, where they are switched on."""

from datetime import timedelta

from app.core.crypto import derive_key
from app.core.server import Server
from app.jobs.sockets import HANDLERS, Handler, Work
from app.magiclinks.deps import MagicKit
from app.magiclinks.routes import router
from app.magiclinks.service import KIND, PURPOSE, SendMagicLink
from app.mail.service import MailKit


def install(server: Server) -> None:
    """Sign in by mail. Without MAGIC_LINK there are no such paths, and what was asked for before it was switched off is
    dropped.
    """
    settings, secret = server.settings, server.settings.SECRET_KEY.get_secret_value()
    if not settings.MAGIC_LINK:
        server.plug(HANDLERS, Handler(KIND, _drop))
        return
    kit = MagicKit(
        key=derive_key(secret, PURPOSE),
        lane_key=derive_key(secret, "magic-link-lanes"),
        life=timedelta(minutes=settings.MAGIC_LINK_EXPIRE_MINUTES),
        url=settings.page_url("MAGIC_LINK_URL"),
    )
    server.provide(kit)
    server.plug(HANDLERS, Handler(KIND, SendMagicLink(server.database, kit, server.kit(MailKit))))
    server.routers.append(router)


async def _drop(_work: Work) -> None:
    pass
