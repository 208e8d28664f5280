"""What passwords plug in."""

from datetime import timedelta

from app.auth.sockets import START_RESET
from app.core.crypto import derive_key
from app.core.server import Server
from app.jobs.sockets import HANDLERS, Handler
from app.mail.service import MailKit
from app.passwords.deps import ResetKit
from app.passwords.routes import router
from app.passwords.service import KIND, SendReset, start_reset
from app.passwords.staff_routes import router as staff_router


def install(server: Server) -> None:
    """Reset links under a secret of their own."""
    settings = server.settings
    kit = ResetKit(
        key=derive_key(settings.PASSWORD_RESET_TOKEN_SECRET.get_secret_value(), "password-reset"),
        life=timedelta(minutes=settings.PASSWORD_RESET_EXPIRE_MINUTES),
        url=settings.page_url("PASSWORD_RESET_URL"),
        lane_key=derive_key(settings.SECRET_KEY.get_secret_value(), "forgot-lanes"),
    )
    server.provide(kit)
    server.plug(HANDLERS, Handler(KIND, SendReset(server.database, kit, server.kit(MailKit))))
    server.plug(START_RESET, start_reset)
    server.routers += [router, staff_router]
