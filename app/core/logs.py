"""Logging: structlog for everything, JSON in production, uvicorn's own lines included, its access log replaced by ours."""

import logging
import logging.config
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog


def configure_logging(level: str, *, json: bool) -> None:
    """Send every line to stderr in one form. Safe to call again."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _without_traceback, renderer],
        )
    )
    logging.raiseExceptions = False  # a line that can't be written would be shown on stderr, whole
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries below WARNING say what they were given: SQL with its parameters, mails, addresses.
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in ("app", "authkeep", "uvicorn"):
        logging.getLogger(name).setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    quiet_uvicorn()


def quiet_uvicorn() -> None:
    """No access log of uvicorn's: it would write query strings, and with them tokens. Ours is in `core/edge.py`."""
    access = logging.getLogger("uvicorn.access")
    access.handlers = []
    access.propagate = False


def _without_traceback(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # A traceback ends in the error's message, which may quote what was sent.
    raised = event.pop("exc_info", None)
    if isinstance(raised, tuple) and raised[0] is not None:
        event["error"] = raised[0].__name__
    return event
