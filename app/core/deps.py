"""What routes ask for: the server, the moment, a transaction."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.server import Server
from app.database import Database


async def server_of(request: Request) -> Server:
    """The server this request runs in."""
    server: Server = request.app.state.server
    return server


ServerOf = Annotated[Server, Depends(server_of)]


async def now_of(server: ServerOf) -> datetime:
    """The moment, by the server's clock."""
    return server.clock()


async def write_of(server: ServerOf) -> AsyncIterator[AsyncSession]:
    """The request's transaction; the caller commits by ending it."""
    async with server.database.write() as db:
        yield db


async def read_of(server: ServerOf) -> AsyncIterator[AsyncSession]:
    """A reading transaction."""
    async with server.database.read() as db:
        yield db


async def database_of(server: ServerOf) -> Database:
    """For flows that hash between two short transactions (DESIGN section 2)."""
    return server.database


Now = Annotated[datetime, Depends(now_of)]
# scope="function": committed before the answer leaves; FastAPI's default would commit after the client read 200.
Db = Annotated[AsyncSession, Depends(write_of, scope="function")]
DbRead = Annotated[AsyncSession, Depends(read_of, scope="function")]
Transactions = Annotated[Database, Depends(database_of)]
