"""What auth plugs in."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from app.auth import sessions
from app.auth.blocklist import Blocklist, ended_in
from app.auth.common_passwords import CommonPasswords
from app.auth.credentials import SessionCredentials
from app.auth.deps import AuthKit
from app.auth.devices import KIND, DeviceKit, SendNewDevice
from app.auth.hashing import HashingPool
from app.auth.jobs import ForgetSchemes
from app.auth.lanes import install_lanes
from app.auth.password_rules import PasswordPolicy
from app.auth.personal import AttemptsOf, DevicesOf, PasswordOf, RememberedOf, SessionsOf
from app.auth.routes import router
from app.auth.staff_routes import router as staff_router
from app.auth.utils import Passwords, Tokens
from app.core.caller import CREDENTIALS
from app.core.crypto import derive_key
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import DAILY, HANDLERS, Handler
from app.mail.service import MailKit
from app.users.sockets import ACCESS_ENDED


@cache
def _common_passwords() -> CommonPasswords:
    return CommonPasswords.load()


def install(server: Server) -> None:
    """Find callers, open and end sessions, block what ended."""
    settings, secret = server.settings, server.settings.SECRET_KEY.get_secret_value()
    access_life = timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)
    kit = AuthKit(
        passwords=Passwords(settings.PASSWORD_HASH, settings.BCRYPT_ROUNDS, derive_key(secret, "password-pre-hash")),
        pool=HashingPool(),
        tokens=Tokens(secret, settings.public_url, access_life),
        blocklist=Blocklist(server.refusals, access_life),
        common=_common_passwords(),
        policy=PasswordPolicy(settings.PASSWORD_POLICY),
        product=settings.product_name,
        refresh_days=settings.REFRESH_TOKEN_EXPIRE_DAYS,
        lane_key=derive_key(secret, "login-lanes"),
        client_key=derive_key(secret, "refresh-client"),
        remember_key=derive_key(secret, "remembered-devices"),
        registration_open=settings.REGISTRATION == "open",
    )
    credentials = SessionCredentials(kit.tokens, server.sessions, kit.blocklist, server.database)
    devices = DeviceKit(derive_key(secret, "end-session"), settings.page_url("END_SESSION_URL"), server.places)
    server.provide(kit)
    server.provide(devices)
    server.plug(HANDLERS, Handler(KIND, SendNewDevice(server.database, devices, server.kit(MailKit))))
    server.plug(CREDENTIALS, credentials)
    install_lanes(server)
    server.plug(ACCESS_ENDED, sessions.end_access)
    server.plug(DAILY, sessions.tidy)
    for part in (SessionsOf(), AttemptsOf(), DevicesOf(), RememberedOf(), PasswordOf(kit)):
        server.plug(PERSONAL_DATA, part)
    server.plug(DAILY, ForgetSchemes(kit.passwords.label).tidy)
    server.closers += [credentials.close, kit.pool.close]

    async def block_what_ended(info: Mapping[str, Any]) -> None:
        await kit.blocklist.block(ended_in(info), server.clock())

    server.database.after_commit.append(block_what_ended)
    server.routers += [router, staff_router]
