"""What routes ask for: the server, the moment, a transaction."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request, params
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.server import Server
from app.database import Database


# Each asks for the request alone: FastAPI looks at every dependency of every route, and at theirs, when the process starts.
def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


async def server_of(request: Request) -> Server:
    """The server this request runs in."""
    return _server(request)


ServerOf = Annotated[Server, Depends(server_of)]


async def now_of(request: Request) -> datetime:
    """The moment, by the server's clock: the same for all of a request."""
    return _server(request).clock()


async def write_of(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's transaction; the caller commits by ending it."""
    async with _server(request).database.write() as db:
        yield db


async def read_of(request: Request) -> AsyncIterator[AsyncSession]:
    """A reading transaction."""
    async with _server(request).database.read() as db:
        yield db


async def database_of(request: Request) -> Database:
    """For flows that hash between two short transactions (DESIGN section 2)."""
    return _server(request).database


def kit(kind: type[object]) -> params.Depends:
    """What a feature provided when it was installed: `Annotated[AuthKit, kit(AuthKit)]`."""

    async def kit_of(request: Request) -> object:
        return _server(request).kit(kind)

    rule: params.Depends = Depends(kit_of)
    return rule


Now = Annotated[datetime, Depends(now_of)]
# scope="function": committed before the answer leaves; FastAPI's default would commit after the client read 200.
Db = Annotated[AsyncSession, Depends(write_of, scope="function")]
DbRead = Annotated[AsyncSession, Depends(read_of, scope="function")]
Transactions = Annotated[Database, Depends(database_of)]
