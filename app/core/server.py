"""The server that features are installed into: settings, database, ports, sockets, routers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from fastapi import APIRouter

from app.config import Settings
from app.core.clock import Clock
from app.core.cookies import Cookies
from app.core.latency import Latency
from app.core.limits import RateLimits
from app.core.ports import MailTransport, Outbound, Places, Refusals, Rotations, SessionChecks
from app.core.sockets import PARTS, Part, Parts, Socket
from app.database import Database

Kit = TypeVar("Kit")


@dataclass
class Server:
    """One server: what `main` built, and what features plugged into it."""

    settings: Settings
    database: Database
    sessions: SessionChecks
    rotations: Rotations | None
    refusals: Refusals | None
    limits: RateLimits
    mail: MailTransport | None
    clock: Clock
    outbound: Outbound
    places: Places | None = None
    routers: list[APIRouter] = field(default_factory=list)  # in the order of rank, which decides where paths overlap
    parts: Parts = field(default_factory=dict)
    kits: dict[type, Any] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    cookies: Cookies = field(init=False)
    problem: str | None = "starting"  # why requests can't be served yet; None: ready

    def __post_init__(self) -> None:
        self.cookies = Cookies(self.settings.is_https)
        self.database.info[PARTS] = self.parts

    def plug(self, socket: Socket[Part], part: Part) -> None:
        """Put a part into a socket of a lower package."""
        self.parts.setdefault(socket, []).append(part)

    def provide(self, kit: object) -> None:
        """Keep a feature's own values (keys, rules) for its routes."""
        self.kits[type(kit)] = kit

    def kit(self, kind: type[Kit]) -> Kit:
        """What a feature provided."""
        return cast("Kit", self.kits[kind])
