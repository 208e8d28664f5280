"""What invitations plug in."""

from datetime import timedelta

from app.core.crypto import derive_key
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.invitations import service
from app.invitations.deps import InvitationKit
from app.invitations.personal import InvitationsOf
from app.invitations.routes import router
from app.jobs.sockets import DAILY, HANDLERS, Handler
from app.mail.service import MailKit
from app.users.sockets import ACCESS_ENDED


def install(server: Server) -> None:
    """Invite by mail; an inviter's end ends the invitations."""
    settings, secret = server.settings, server.settings.SECRET_KEY.get_secret_value()
    kit = InvitationKit(
        key=derive_key(secret, service.PURPOSE),
        cursor_key=derive_key(secret, "cursor"),
        life=timedelta(days=settings.INVITATION_EXPIRE_DAYS),
        url=settings.page_url("INVITATION_URL"),
        open=settings.REGISTRATION != "closed",
    )
    server.provide(kit)
    server.plug(HANDLERS, Handler(service.KIND, service.SendInvitation(server.database, kit, server.kit(MailKit))))
    server.plug(ACCESS_ENDED, service.withdraw_all_of)
    server.plug(PERSONAL_DATA, InvitationsOf())
    server.plug(DAILY, service.tidy)
    server.routers.append(router)
