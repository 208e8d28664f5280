"""Fixtures of these tests beside those of the whole suite."""

from tests.mail.postman import postman
from tests.mail.twins import twin

__all__ = ["postman", "twin"]
