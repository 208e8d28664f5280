"""Fixtures of these tests beside those of the whole suite."""

from tests.mail.twins import twin

__all__ = ["twin"]
