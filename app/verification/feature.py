"""What verification plugs in."""

from datetime import timedelta

from app.auth.sockets import PENDING, REGISTERED
from app.core.crypto import derive_key
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import DAILY, HANDLERS
from app.mail.service import MailKit
from app.users.sockets import HOLDS
from app.verification import changes, service
from app.verification.deps import VerificationKit
from app.verification.mails import Letters
from app.verification.personal import EmailChangesOf, PendingRegistrationsOf
from app.verification.routes import router
from app.verification.staff_routes import router as staff_router


def install(server: Server) -> None:
    """Prove addresses: after registering, or before there is an account."""
    settings, secret = server.settings, server.settings.SECRET_KEY.get_secret_value()
    kit = VerificationKit(
        key=derive_key(secret, service.PURPOSE),
        change_key=derive_key(secret, changes.CHANGE),
        undo_key=derive_key(secret, changes.UNDO),
        lane_key=derive_key(secret, "verification-lanes"),
        life=timedelta(hours=settings.EMAIL_VERIFICATION_EXPIRE_HOURS),
        change_life=timedelta(hours=settings.EMAIL_CHANGE_EXPIRE_HOURS),
        url=settings.page_url("VERIFY_EMAIL_URL"),
        change_url=settings.page_url("EMAIL_CHANGE_URL"),
        undo_url=settings.page_url("EMAIL_UNDO_URL"),
    )
    server.provide(kit)
    if settings.EMAIL_VERIFICATION == "required":
        server.plug(PENDING, service.PendingRegistrations(server.limits, kit))
    server.plug(REGISTERED, service.ask_registered)
    server.plug(HOLDS, service.KeptNames())
    for part in (EmailChangesOf(), PendingRegistrationsOf()):
        server.plug(PERSONAL_DATA, part)
    server.plug(DAILY, service.tidy)
    for handler in Letters(server.database, kit, server.kit(MailKit)).handlers():
        server.plug(HANDLERS, handler)
    server.routers += [router, staff_router]
