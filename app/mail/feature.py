"""What mail plugs in."""

from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import HANDLERS, Handler
from app.mail.pages import pages
from app.mail.personal import DevMailsTo
from app.mail.service import KIND, MailKit


def install(server: Server) -> None:
    """Send queued mails; show the dev mailbox where there is one."""
    settings = server.settings
    kit = MailKit(server.mail, settings.EMAIL_FROM, settings.EMAIL_FROM_NAME, settings.public_url)
    server.provide(kit)
    server.plug(HANDLERS, Handler(KIND, kit.run))
    server.plug(PERSONAL_DATA, DevMailsTo())
    server.router.include_router(pages)
