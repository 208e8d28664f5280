"""What mail plugs in."""

from app.core.brand import Brand
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import HANDLERS, Handler
from app.mail.pages import pages
from app.mail.personal import DevMailsTo
from app.mail.service import KIND, MailKit


def install(server: Server) -> None:
    """Send queued mails; show the dev mailbox where there is one."""
    settings = server.settings
    kit = MailKit(
        transport=server.mail,
        sender=settings.EMAIL_FROM,
        sender_name=settings.EMAIL_FROM_NAME,
        public_url=settings.public_url,
        brand=server.kit(Brand),
        default_locale=settings.DEFAULT_LOCALE,
    )
    server.provide(kit)
    server.plug(HANDLERS, Handler(KIND, kit.run))
    server.plug(PERSONAL_DATA, DevMailsTo())
    server.routers.append(pages)
