"""Putting a server together: settings choose the adapters, features plug themselves in, in order of rank.

An adapter is imported where it is chosen: drivers are large, and a server of one stack never needs the other's.
"""

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from app import load_without
from app.account import feature as account
from app.admin import feature as admin
from app.audit import feature as audit
from app.auth import feature as auth
from app.bulk import feature as bulk
from app.config import Settings
from app.core.brand import read_brand
from app.core.clock import Clock, system_clock
from app.core.health import HEALTH, HealthCheck
from app.core.limits import RateLimits
from app.core.ports import Answered, MailTransport, Outbound, Places, Refusals, Rotations, SessionChecks
from app.core.server import Server
from app.database import Database, prepare_file
from app.health import feature as health
from app.impersonation import feature as impersonation
from app.infra.migrations import is_current
from app.invitations import feature as invitations
from app.jobs import feature as jobs_feature
from app.jobs import service as jobs
from app.magiclinks import feature as magiclinks
from app.mail import feature as mail
from app.mail.dev import DevMailbox
from app.metrics import feature as metrics
from app.mfa import feature as mfa
from app.passkeys import feature as passkeys
from app.passwords import feature as passwords
from app.privacy import feature as privacy
from app.stats import feature as stats
from app.tickets import feature as tickets
from app.users import feature as users
from app.verification import feature as verification
from app.webhooks import feature as webhooks
from app.work import feature as work

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from app.infra.redis import RedisCounters, RedisRefusals

log = structlog.get_logger()
FEATURES: tuple[Callable[[Server], None], ...] = (
    jobs_feature.install,
    audit.install,
    mail.install,
    tickets.install,
    invitations.install,  # before its rank: "/users/invitations" must be asked before "/users/{user_id}"
    users.install,
    auth.install,
    mfa.install,
    passwords.install,
    passkeys.install,
    magiclinks.install,
    verification.install,
    impersonation.install,
    work.install,
    webhooks.install,
    health.install,
    stats.install,
    bulk.install,
    privacy.install,
    account.install,
    admin.install,
    metrics.install,
)


class LateOutbound:
    """HTTP to addresses that somebody typed (`Outbound`), loaded for the first of them: most servers never call any."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _outbound(self) -> Outbound:
        from app.infra.outbound import OutboundHttp

        return OutboundHttp(loopback=self._settings.WEBHOOKS_LOOPBACK)

    async def check(self, url: str) -> None:
        """See `Outbound.check`."""
        await self._outbound.check(url)

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        """See `Outbound.post`."""
        return await self._outbound.post(url, headers, body)

    async def close(self) -> None:
        """See `Outbound.close`."""
        if "_outbound" in vars(self):
            await self._outbound.close()


def build_server(settings: Settings, clock: Clock = system_clock) -> Server:
    """A server with every feature installed; it has connected to nothing yet."""
    prepare_file(settings.database_url)
    database = Database(settings.database_url)
    counters, refusals = _redis(settings)
    sessions, rotations = _hot_path(settings, database)
    server = Server(
        settings=settings,
        database=database,
        sessions=sessions,
        rotations=rotations,
        refusals=refusals,
        limits=_limits(settings, counters),
        mail=_transport(settings, database),
        clock=clock,
        outbound=LateOutbound(settings),
        places=_places(settings),
    )
    server.provide(read_brand(settings))
    if counters is not None:
        server.closers.append(counters.close)
    for install in FEATURES:
        install(server)
    _plug_checks(server)
    return server


async def open_metrics_port(server: Server) -> None:
    """Listen for scrapes where METRICS_PORT is set, until the server is closed.

    A process that finds no port free serves all the same, and says so: people must not be locked out for numbers.
    """
    ports, host = server.settings.metrics_ports, server.settings.METRICS_HOST
    if not ports:
        return
    from app.infra.uvicorn import listen
    from app.metrics.port import MetricsPort
    from app.metrics.scraping import Scraper

    listening = await listen(MetricsPort(server.kit(Scraper)), host, ports)
    if listening is None:
        log.error("metrics.no_port", host=host, ports=server.settings.METRICS_PORT, effect="this process is not in the metrics")
        return
    log.info("metrics.listening", host=host, port=listening.port)
    server.closers.insert(0, listening.close)


def make_spans(server: Server) -> "TracerProvider | None":
    """What makes spans, where there is a collector to send them to."""
    endpoint = server.settings.traces_to
    if endpoint is None:
        return None
    from app.infra.traces import traces_to

    provider, close = traces_to(endpoint)
    server.closers.append(close)
    return provider


async def close_server(server: Server) -> None:
    """Let go of everything that was opened."""
    for close in server.closers:
        await close()
    await server.outbound.close()
    await server.sessions.close()
    if server.rotations is not None:
        await server.rotations.close()
    if server.refusals is not None:
        await server.refusals.close()
    await server.database.close()


def _redis(settings: Settings) -> "tuple[RedisCounters, RedisRefusals] | tuple[None, None]":
    if not settings.redis_url:
        return None, None
    load_without("opentelemetry.sdk", "redis.asyncio")  # metrics that nobody asked for
    from app.infra.redis import RedisCounters, RedisRefusals

    return RedisCounters(settings.redis_url), RedisRefusals(settings.redis_url)


def _hot_path(settings: Settings, database: Database) -> tuple[SessionChecks, Rotations | None]:
    url = settings.database_url
    if database.is_sqlite:
        from app.infra.sessions_sqlite import SqliteSessionChecks

        return SqliteSessionChecks(url), None  # one writer at a time: there is no commit to share
    from app.infra.rotations_postgres import PostgresRotations
    from app.infra.sessions_postgres import PostgresSessionChecks

    return PostgresSessionChecks(url), PostgresRotations(url)


def _limits(settings: Settings, counters: "RedisCounters | None") -> RateLimits:
    rules = {
        "login": settings.RATE_LIMIT_LOGIN,
        "register": settings.RATE_LIMIT_REGISTER,
        "refresh": settings.RATE_LIMIT_REFRESH,
        "forgot_password": settings.RATE_LIMIT_FORGOT_PASSWORD,
        "forgot_password_account": settings.RATE_LIMIT_FORGOT_PASSWORD_ACCOUNT,
        "reset_password": settings.RATE_LIMIT_RESET_PASSWORD,
        "change_password": settings.RATE_LIMIT_CHANGE_PASSWORD,
        "password_verdict": settings.RATE_LIMIT_PASSWORD_VERDICT,
        "reauthenticate": settings.RATE_LIMIT_REAUTHENTICATE,
        "verify_email": settings.RATE_LIMIT_VERIFY_EMAIL,
        "resend": settings.RATE_LIMIT_RESEND,
        "resend_account": settings.RATE_LIMIT_RESEND_ACCOUNT,
        "change_email": settings.RATE_LIMIT_CHANGE_EMAIL,
        "confirm_email": settings.RATE_LIMIT_CONFIRM_EMAIL,
        "magic_link": settings.RATE_LIMIT_MAGIC_LINK,
        "magic_link_account": settings.RATE_LIMIT_MAGIC_LINK_ACCOUNT,
        "magic_link_verify": settings.RATE_LIMIT_MAGIC_LINK_VERIFY,
        "invitation": settings.RATE_LIMIT_INVITATION,
        "passkey_options": settings.RATE_LIMIT_PASSKEY_OPTIONS,
        "end_session": settings.RATE_LIMIT_END_SESSION,
        "change_profile": settings.RATE_LIMIT_CHANGE_PROFILE,
        "export": settings.RATE_LIMIT_EXPORT,
        "impersonate": settings.RATE_LIMIT_IMPERSONATE,
        "second_step": settings.RATE_LIMIT_SECOND_STEP,
        "mfa_enrol": settings.RATE_LIMIT_MFA_ENROL,
    }
    return RateLimits(rules, by_address=settings.RATE_LIMIT_ENABLED, shared=counters)


def _transport(settings: Settings, database: Database) -> MailTransport | None:
    if settings.SMTP_HOST is not None:
        from app.infra.smtp import SmtpTransport

        return SmtpTransport(settings)
    return DevMailbox(database) if settings.is_development else None


def _places(settings: Settings) -> Places | None:
    if settings.GEOIP_FILE is None:
        return None
    from app.infra.places import MaxmindPlaces

    return MaxmindPlaces(settings.GEOIP_FILE)


def _plug_checks(server: Server) -> None:
    async def database() -> str:
        await server.sessions.ping()
        return "ok"

    async def migrations() -> str:
        return server.problem or "ok"

    async def redis() -> str:
        refusals: Refusals | None = server.refusals
        if refusals is None:
            return "off"
        return "ok" if await refusals.ping() else "down"

    async def mail_state() -> str:
        if not server.settings.mail_configured:
            return "unconfigured"
        async with server.database.read() as db:
            dead = await jobs.count_dead(db)
        # Anybody may ask. How many would tell whether a mail that can't arrive was to be sent: whether there is such an account.
        return "some given up" if dead else "ok"

    server.plug(HEALTH, HealthCheck("database", database, vital=True))
    server.plug(HEALTH, HealthCheck("migrations", migrations, vital=True))
    server.plug(HEALTH, HealthCheck("redis", redis))
    server.plug(HEALTH, HealthCheck("mail", mail_state))


async def is_migrated(settings: Settings) -> bool:
    """Whether the database is at the newest revision."""
    return await asyncio.to_thread(is_current, settings.database_url)
