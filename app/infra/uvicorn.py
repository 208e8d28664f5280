"""What uvicorn does by default and must not do here, whichever way it was started."""

import uvicorn.config
from starlette.types import ASGIApp

from app.core.logs import quiet_uvicorn


def tame_uvicorn() -> None:
    """Keep uvicorn from rewriting the client's address by X-Forwarded-For, and from logging query strings.

    `uvicorn app.main:app` trusts the header from 127.0.0.1 and overwrites the peer's address before the application sees
    it. The class is looked up after the application was imported; so putting an inert one in its place here is in time.
    Only TRUSTED_PROXIES decides (`core/client.py`).
    """
    vars(uvicorn.config)["ProxyHeadersMiddleware"] = _inert
    quiet_uvicorn()


def _inert(app: ASGIApp, trusted_hosts: object = None) -> ASGIApp:  # noqa: ARG001 -- the signature is uvicorn's
    return app
