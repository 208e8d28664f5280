"""Authkeep: an authentication and user-management server on FastAPI."""

__version__ = "0.1.0"
