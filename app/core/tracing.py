"""What FastAPI's telemetry may see of a request: its method and, in the end, its route's template and status.

It would take down the path, the query and the Host, in which tokens, addresses and names come. So it is shown a request that
holds none of them, and the real one goes on inside.
"""

from collections.abc import Sequence
from typing import Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace import TracerProvider
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.client import is_trusted
from app.core.edge import METHODS, template_of
from app.sections import Network

WHOLE = "authkeep.whole"  # key in the scope that is shown


def telemetry_of(provider: TracerProvider | None) -> TelemetryConfig:
    """FastAPI's own switch: spans by this provider, or nothing, whatever else in this process or its environment says.

    No logs: they quote what was sent. No metrics: they are counted already.
    """
    spans: TelemetryConfig = {"tracing": provider is not None, "tracer_provider": provider}
    return {**spans, "metrics": False, "logs": False, "auto_configure": False, "exclude": _is_shown_whole}


def _is_shown_whole(scope: Scope) -> bool:
    return WHOLE not in scope  # a WebSocket, of which there are none here


def shown(scope: Scope, trusted: Sequence[Network]) -> Scope:
    """What is shown in the place of a request. It goes on with somebody's trace if a trusted proxy says so."""
    headers = [(name, value) for name, value in scope["headers"] if name == b"traceparent"]
    believed = bool(headers) and is_trusted(scope, trusted)
    return {
        "type": "http",
        "http_version": scope["http_version"],
        "method": scope["method"] if scope["method"] in METHODS else "?",
        "scheme": scope["scheme"],
        "path": "",
        "raw_path": b"",
        "root_path": "",
        "query_string": b"",
        "headers": headers if believed else [],
        "client": None,
        "server": None,
        WHOLE: scope,
    }


class Whole:
    """Inside of what sees what is shown: goes on with the real request, and names the span by its route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole: dict[str, Any] = scope[WHOLE]
        whole |= {key: value for key, value in scope.items() if key not in whole and key != WHOLE}
        span, method = trace.get_current_span(), scope["method"]

        async def send_named(message: Message) -> None:
            template = template_of(whole) if message["type"] == "http.response.start" else None
            if template is not None:
                span.set_attribute("http.route", template)
                span.update_name(f"{method} {template}")
            await send(message)

        await self._app(whole, receive, send_named)
