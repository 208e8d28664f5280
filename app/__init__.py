"""Authkeep: an authentication and user-management server on FastAPI."""

import gc
import sys
from importlib import import_module

__version__ = "0.1.0"

# Loading makes a million objects and no garbage: looking for some took a fifth of every start. A server that is ready, and the
# command line, set what is right for what they do (`app/infra/memory.py`).
gc.set_threshold(10_000_000)


def load_without(absent: str, module: str) -> None:
    """Load a module as if another were not installed, of which it would load much and need nothing here.

    A name that stands for None can't be imported (Python reference, 5.3.1).
    """
    if absent in sys.modules or module in sys.modules:
        return
    sys.modules[absent] = None  # type: ignore[assignment]
    try:
        import_module(module)
    finally:
        del sys.modules[absent]


load_without("rich", "structlog")  # a twentieth of every start, to colour tracebacks; no log of ours holds any
