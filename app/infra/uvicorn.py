"""What uvicorn does by default and must not do here, whichever way it was started."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn.config
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from app.core.logs import quiet_uvicorn


def tame_uvicorn() -> None:
    """Keep uvicorn from rewriting the client's address by X-Forwarded-For, and from logging query strings.

    `uvicorn app.main:app` trusts the header from 127.0.0.1 and overwrites the peer's address before the application sees
    it. The class is looked up after the application was imported; so putting an inert one in its place here is in time.
    Only TRUSTED_PROXIES decides (`core/client.py`).
    """
    vars(uvicorn.config)["ProxyHeadersMiddleware"] = _inert
    quiet_uvicorn()


@dataclass(frozen=True, slots=True)
class Listening:
    """A second application of this process, on a port of its own."""

    port: int
    server: asyncio.Server
    state: ServerState

    async def close(self) -> None:
        """Take no more requests; those under way are let finish."""
        self.server.close()
        for connection in list(self.state.connections):
            connection.shutdown()


async def listen(app: ASGIApp, host: str, ports: Iterable[int]) -> Listening | None:
    """Answer by this application on the first port that is free; None if none is, or the host is not of this machine.

    By uvicorn's protocol alone: a second `uvicorn.Server` would take the first one's signals.
    """
    config = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, access_log=False, proxy_headers=False, server_header=False
    )
    config.load()
    state = ServerState()
    kind: Any = config.http_protocol_class
    protocol = partial(kind, config=config, server_state=state, app_state={})
    for port in ports:
        try:
            server = await asyncio.get_running_loop().create_server(protocol, host, port)
        except OSError:
            continue
        return Listening(port, server, state)
    return None


def _inert(app: ASGIApp, trusted_hosts: object = None) -> ASGIApp:  # noqa: ARG001 -- the signature is uvicorn's
    return app
