"""Authkeep: an authentication and user-management server on FastAPI."""

import gc

__version__ = "0.1.0"

# Loading makes a million objects and no garbage: looking for some took a fifth of every start. A server that is ready, and the
# command line, set what is right for what they do (`app/infra/memory.py`).
gc.set_threshold(10_000_000)
