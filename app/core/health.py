"""Checks of what the server needs; whoever owns a dependency plugs one in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.core.sockets import Socket


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """`run` says in a word how the dependency is: "ok", or what is wrong. Without a vital one nothing can be answered."""

    name: str
    run: Callable[[], Awaitable[str]]
    vital: bool = False


HEALTH: Socket[HealthCheck] = Socket("core.HEALTH")
