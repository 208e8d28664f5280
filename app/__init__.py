"""Authkeep: an authentication and user-management server on FastAPI."""

import gc
import sys
from importlib import import_module

__version__ = "0.1.0"

# Loading makes a million objects and no garbage: looking for some took a fifth of every start. A server that is ready, and the
# command line, set what is right for what they do (`app/infra/memory.py`).
gc.set_threshold(10_000_000)


def _load_structlog() -> None:
    # It loads rich wherever that is installed, a twentieth of every start, to colour tracebacks; no log of ours holds any. A name
    # that stands for None can't be imported (Python reference, 5.3.1).
    if sys.modules.keys() & {"rich", "structlog"}:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]


_load_structlog()
