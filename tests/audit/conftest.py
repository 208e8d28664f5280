"""Fixtures of these tests beside those of the whole suite."""

from tests.database.conftest import empty_database
from tests.mail.postman import postman
from tests.mail.twins import twin

__all__ = ["empty_database", "postman", "twin"]
