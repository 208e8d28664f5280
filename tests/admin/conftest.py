"""The browser, server and page of the account pages' tests, and a mail server."""

from tests.account.conftest import browser, page, stage
from tests.mail.postman import postman

__all__ = ["browser", "page", "postman", "stage"]
