"""The application: `uvicorn app.main:app`, or `create_app(settings)`.

The way of a request: Envelope -> FastLane -> CORS -> Guard -> FastLane -> Slashes (`app/core/`) -> route -> service ->
repository.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.assembly import build_server, close_server, is_migrated, make_spans, open_metrics_port
from app.config import Settings, SettingsError, load_settings
from app.core.brand import Brand
from app.core.caller import PUBLIC
from app.core.clock import Clock, system_clock
from app.core.deps import ServerOf
from app.core.docs import install_docs
from app.core.edge import Envelope, Guard, Slashes, on_crash
from app.core.fastlane import LANES, OUTER_LANES, FastLane
from app.core.logs import configure_logging
from app.core.problems import document_problems, document_tokens, install_handlers
from app.core.server import Server
from app.core.static import install_static
from app.core.tracing import Whole, shown, telemetry_of
from app.database import primary_problem
from app.infra.memory import settle
from app.infra.migrations import upgrade
from app.infra.uvicorn import tame_uvicorn
from app.jobs.worker import Worker

log = structlog.get_logger()
MAX_BODY_BYTES = 64 * 1024
RETRY_SECONDS = 1.0
FIRST_LOOK_SECONDS = 5.0
DESCRIPTION = """
Accounts, sessions and tokens.

Authorize (above) logs in by username and password. Every refusal is `application/problem+json` (RFC 9457) with a stable `code`.
"""


TAGS = [
    {"name": "auth", "description": "Register, log in and out, sessions"},
    {"name": "passwords", "description": "Forget, reset, change"},
    {"name": "magic links", "description": "Sign in by mail, where MAGIC_LINK is true"},
    {"name": "users", "description": "Accounts, for admins"},
    {"name": "audit", "description": "What happened, for who has `audit:read`"},
    {"name": "stats", "description": "How things stand, for who has `stats:read`"},
    {"name": "webhooks", "description": "Telling other systems what happened, for who has `webhooks:write`"},
    {"name": "health", "description": "Is it alive, ready, well?"},
]


def create_app(settings: Settings, clock: Clock = system_clock) -> "Application":
    """The application for these settings; it opens nothing until its lifespan begins."""
    configure_logging(settings.LOG_LEVEL, json=not settings.is_development)
    tame_uvicorn()
    server = build_server(settings, clock)
    spans = make_spans(server)
    app = Application(
        server,
        traced=spans is not None,
        telemetry=telemetry_of(spans),
        title="Authkeep",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/openapi.json" if settings.docs_open else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        openapi_tags=TAGS,
    )
    install_handlers(app)
    app.add_exception_handler(Exception, on_crash)
    document_problems(app)
    document_tokens(app)
    for router in server.routers:  # as they are: to include a router is to build each of its routes anew
        for route in router.routes:
            if isinstance(route, APIRoute):
                route.unique_id = route.name  # the operationId
        app.router.routes.extend(router.routes)
    app.add_api_route("/", _root, include_in_schema=False, dependencies=[PUBLIC])
    install_static(app, server.kit(Brand))
    if settings.docs_open:
        install_docs(app)
    app.wrap()
    return app


class Application(FastAPI):
    """FastAPI with the edge around all of it, so that a lane's answer passes through nothing it does not need."""

    def __init__(self, server: Server, *, traced: bool, **options: Any) -> None:
        super().__init__(**options)
        self.state.server = server
        self.owns_process = False  # whether the garbage collector is ours to tune
        self._traced = traced
        self._edge: ASGIApp = self._inner if traced else super().__call__
        self._stack: ASGIApp = self._edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif self._traced:  # FastAPI's telemetry is around everything, and the edge inside
            server: Server = self.state.server
            await super().__call__(shown(scope, server.settings.TRUSTED_PROXIES), receive, send)
        else:
            await self._edge(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """See `FastAPI.build_middleware_stack`."""
        self._stack = super().build_middleware_stack()
        return self._outer if self._traced else self._stack

    async def _outer(self, scope: Scope, receive: Receive, send: Send) -> None:
        inside = Whole(self._edge) if scope["type"] == "http" else self._stack
        await inside(scope, receive, send)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._stack(scope, receive, send)

    def wrap(self) -> None:
        """Put the edge around the routes; all of them are there."""
        server: Server = self.state.server
        settings, parts = server.settings, server.parts

        def problem_of() -> str | None:
            return server.problem

        slashed = frozenset(
            path for context in iter_route_contexts(self.routes) if (path := context.path or "").endswith("/") and path != "/"
        )
        self.add_middleware(Slashes, with_slash=slashed)
        lanes = FastLane(self._edge, lanes=LANES.of(parts), problem_of=problem_of)
        with_cors = CORSMiddleware(
            Guard(lanes, problem_of=problem_of, max_body=MAX_BODY_BYTES),
            allow_origins=list(settings.CORS_ORIGINS),
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "X-Request-ID"],
            max_age=600,
        )
        outer_lanes = FastLane(with_cors, lanes=OUTER_LANES.of(parts), problem_of=problem_of)
        self._edge = Envelope(outer_lanes, trusted=settings.TRUSTED_PROXIES, https=settings.is_https, latency=server.latency)


async def _root(server: ServerOf) -> dict[str, str]:
    """Where to go from here."""
    docs = {"docs": "/docs", "openapi": "/openapi.json"} if server.settings.docs_open else {}
    return {"name": "Authkeep", "health": "/health/", **docs}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    server: Server = app.state.server
    tame_uvicorn()
    await open_metrics_port(server)
    # Serve as soon as it is known how the database is, so that liveness does not wait for it.
    looked = asyncio.Event()
    getting_ready = asyncio.create_task(_get_ready(server, looked))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_LOOK_SECONDS):
            await looked.wait()
    worker = Worker(server)
    worker.start(local=not server.settings.WORKER_IN_SERVER)
    if isinstance(app, Application) and app.owns_process:
        settle()
    try:
        yield
    finally:
        getting_ready.cancel()
        await asyncio.gather(getting_ready, return_exceptions=True)
        await worker.stop()
        await close_server(server)


async def _get_ready(server: Server, looked: asyncio.Event) -> None:
    """Migrate and look the database over; while it can't be reached, keep trying and answer 503 meanwhile."""
    while server.problem is not None:
        try:
            async with server.database.read() as db:
                flaw = await primary_problem(db)
            migrated = flaw is None and await is_migrated(server.settings)
            if flaw is None and not migrated and server.settings.MIGRATE_ON_START:
                await asyncio.to_thread(upgrade, server.settings.database_url)
                migrated = await is_migrated(server.settings)
            server.problem = None if migrated else flaw or "not migrated: run `python -m app migrate`"
        except Exception as error:  # a database that is away comes back; a wrong one is said in the log at each try
            server.problem = "the database can't be reached"
            log.warning("start.database_not_ready", error=type(error).__name__)
        looked.set()
        if server.problem is not None:
            log.warning("start.waiting", problem=server.problem)
            await asyncio.sleep(RETRY_SECONDS)
    if server.refusals is not None and not await server.refusals.ping():
        log.warning("start.redis_unreachable", effect="tokens are checked against the database alone until it answers")


def __getattr__(name: str) -> Any:
    """`app`, made when uvicorn asks for it, so that importing this module needs no settings."""
    if name != "app":
        raise AttributeError(name)
    try:
        application = create_app(load_settings())
    except SettingsError as error:
        sys.exit(f"authkeep: {error}")
    application.owns_process = True
    globals()["app"] = application
    return application
