"""Fixtures of these tests beside those of the whole suite."""

from tests.mail.postman import postman

__all__ = ["postman"]
