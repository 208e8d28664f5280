"""Authkeep: an authentication and user-management server on FastAPI."""
