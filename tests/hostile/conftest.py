"""A server that logs everything it ever does, and what it logged."""

import io
import logging
from collections.abc import Iterator
from typing import cast

import pytest
from fastapi import FastAPI

from app.config import Settings


@pytest.fixture
def log(app: FastAPI, settings: Settings) -> Iterator[io.StringIO]:
    """All that the server logs, rendered as it would be; ask for `env(LOG_LEVEL="DEBUG")` with it."""
    assert settings.LOG_LEVEL == "DEBUG"
    handler = cast("logging.StreamHandler[io.StringIO]", logging.getLogger().handlers[0])
    lines = io.StringIO()
    before = handler.setStream(lines)
    try:
        yield lines
    finally:
        if before is not None:
            handler.setStream(before)
