"""Staff of each role, signed in; and roles given behind the application's back."""

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.core.permissions import Role
from app.users.models import User
from tests.auth.scene import execute
from tests.support import api


async def give_role(app: FastAPI, username: str, role: Role) -> None:
    """By the row alone: sessions go on."""
    assert await execute(app.state.server, update(User).where(User.username == username).values(role=role)) == 1


async def new_staff(app: FastAPI, client: AsyncClient, role: Role) -> api.User:
    """Somebody with this role, signed in as that."""
    account = await api.register(client)
    await give_role(app, account["username"], role)
    tokens = await api.login(client, account["username"])
    return api.User(str(account["id"]), account["username"], account["email"], api.PASSWORD, tokens)
