"""Logging: structlog for everything, JSON in production, uvicorn's own lines included, its access log replaced by ours."""

import asyncio
import json as json_format
import logging
import logging.config
import os
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import structlog

from app.core.clock import system_clock

NEWLINE = ord("\n")
REQUEST_ID: ContextVar[str] = ContextVar("authkeep.request_id")  # a line written while a request is answered says which
_quoted = lru_cache(1024)(json_format.JSONEncoder().encode)


@lru_cache(1024)
def _asked(method: str, path: str, status: int) -> str:
    return f'{{"method": "{method}", "path": {_quoted(path)}, "status": {status}, "ms": '


class AccessLog:
    """One line for each answer, of the same form as all others.

    As JSON it is written straight to the stream, all lines of a turn of the event loop at once: a log record, its handler and
    structlog take 50 microseconds, half of what the check of a token may cost.
    """

    NAME = "authkeep.access"

    def __init__(self) -> None:
        self._log = structlog.get_logger(self.NAME)
        self._handler: logging.StreamHandler[Any] | None = None
        self._wanted = True
        self._lines: list[str] = []
        self._rest = ""  # with the moment of the first of them: a turn of the loop takes milliseconds at most
        self._end_of_cut = ""  # what the next line must begin with, so that half a line before it stays by itself

    def configure(self, level: str, handler: "logging.StreamHandler[Any] | None") -> None:
        """From which level on lines are wanted; and whose stream takes them as JSON, None for lines that people read."""
        self._wanted = logging.getLevelNamesMapping()[level] <= logging.INFO
        self._handler = handler

    def write(self, method: str, path: str, status: int, ms: float, address: str, request_id: str) -> None:
        """An answer was sent. Does not raise."""
        if not self._wanted:
            return
        if self._handler is None:
            self._log.info("request", method=method, path=path, status=status, ms=ms, address=address, request_id=request_id)
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
            moment = system_clock().isoformat(timespec="microseconds")[:-6]
            self._rest = f'", "level": "info", "logger": "{self.NAME}", "timestamp": "{moment}Z"}}\n'
        asked, whose = _asked(method, path, status), _quoted(address)
        self._lines.append(f'{asked}{ms}, "address": {whose}, "event": "request", "request_id": "{request_id}{self._rest}')

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if self._handler is None:
            return
        # Past the stream's own buffer: what a full disk would not take stays in there, and comes out in front of a later line.
        data = (self._end_of_cut + "".join(lines)).encode()
        written = 0
        try:
            while written < len(data):
                written += _put(self._handler.stream, data[written:])
        except (OSError, ValueError):  # no line is worth an answer
            pass
        if written:
            self._end_of_cut = "" if data[written - 1] == NEWLINE else "\n"


def _put(stream: Any, data: bytes) -> int:
    try:
        file = stream.fileno()
    except (OSError, ValueError, AttributeError):  # closed, or in memory
        stream.write(data.decode())
        return len(data)
    return os.write(file, data)


ACCESS = AccessLog()


def configure_logging(level: str, *, json: bool) -> None:
    """Send every line to stderr in one form. Safe to call again."""
    shared: list[Any] = [
        _with_request_id,
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
    ACCESS.configure(level, handler if json else None)
    for name in ("app", "authkeep", "uvicorn"):
        logging.getLogger(name).setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    quiet_uvicorn()


def quiet_uvicorn() -> None:
    """No access log of uvicorn's: it would write query strings, and with them tokens. Ours is in `core/edge.py`.

    And no two warnings for a request that offers another protocol: anybody can, and is answered by HTTP (RFC 9110 section 7.8).
    """
    access = logging.getLogger("uvicorn.access")
    access.handlers = []
    access.propagate = False
    logging.getLogger("uvicorn.error").addFilter(_is_about_us)


def _is_about_us(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(("Unsupported upgrade request.", "No supported WebSocket library detected."))


def _with_request_id(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request_id = REQUEST_ID.get(None)
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def _without_traceback(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # A traceback ends in the error's message, which may quote what was sent.
    raised = event.pop("exc_info", None)
    if isinstance(raised, tuple) and raised[0] is not None:
        event["error"] = raised[0].__name__
    return event
