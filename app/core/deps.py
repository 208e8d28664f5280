"""What routes ask for: the server, the moment, a transaction."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request, params
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.server import Server
from app.database import Database

MOMENT = "authkeep.moment"  # key in the ASGI scope


# What is below the routes asks for the request alone, and gets the rest by these two: FastAPI looks at every dependency of every
# route, and at theirs, when the process starts.
def server_in(request: Request) -> Server:
    """The server this request runs in."""
    server: Server = request.app.state.server
    return server


def moment_in(request: Request) -> datetime:
    """The moment, by the server's clock: the same for all of a request."""
    scope = request.scope
    if MOMENT not in scope:
        scope[MOMENT] = server_in(request).clock()
    moment: datetime = scope[MOMENT]
    return moment


async def _server(request: Request) -> Server:
    return server_in(request)


async def _now(request: Request) -> datetime:
    return moment_in(request)


async def write_of(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's transaction; the caller commits by ending it."""
    async with server_in(request).database.write() as db:
        yield db


async def read_of(request: Request) -> AsyncIterator[AsyncSession]:
    """A reading transaction."""
    async with server_in(request).database.read() as db:
        yield db


async def database_of(request: Request) -> Database:
    """For flows that hash between two short transactions (DESIGN section 2)."""
    return server_in(request).database


def kit(kind: type[object]) -> params.Depends:
    """What a feature provided when it was installed: `Annotated[AuthKit, kit(AuthKit)]`."""

    async def kit_of(request: Request) -> object:
        return server_in(request).kit(kind)

    rule: params.Depends = Depends(kit_of)
    return rule


ServerOf = Annotated[Server, Depends(_server)]
Now = Annotated[datetime, Depends(_now)]
# scope="function": committed before the answer leaves; FastAPI's default would commit after the client read 200.
Db = Annotated[AsyncSession, Depends(write_of, scope="function")]
DbRead = Annotated[AsyncSession, Depends(read_of, scope="function")]
Transactions = Annotated[Database, Depends(database_of)]
