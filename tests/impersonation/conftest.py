"""The browser and the server of the account pages' tests."""

from tests.account.conftest import browser, page, stage

__all__ = ["browser", "page", "stage"]
