"""Fixtures of these tests beside those of the whole suite."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.mail.postman import postman
from tests.mail.twins import twin
from tests.support import api

__all__ = ["admin", "postman", "twin"]


@pytest.fixture
async def admin(app: FastAPI, client: AsyncClient, no_welcome_mail: None) -> api.User:
    return await api.new_admin(app, client)
