"""A server that logs everything it can, and what it logged."""

import io
import logging
from collections.abc import Iterator
from typing import cast

import pytest
from fastapi import FastAPI


@pytest.fixture
def log(app: FastAPI) -> Iterator[io.StringIO]:
    """All that the server logs, rendered as it would be, from DEBUG upward whatever LOG_LEVEL says."""
    root = logging.getLogger()
    (handler,) = root.handlers
    stream = cast("logging.StreamHandler[io.StringIO]", handler)
    lines = io.StringIO()
    before, level = stream.setStream(lines), root.level
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        if before is not None:
            stream.setStream(before)
