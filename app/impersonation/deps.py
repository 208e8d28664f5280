"""Who may act as somebody else, and what the flow needs beside a transaction."""

from typing import Annotated

from fastapi import Depends

from app.core.caller import Caller, May, fresh
from app.core.deps import Now, ServerOf
from app.impersonation.service import ImpersonationKit


async def _kit(server: ServerOf) -> ImpersonationKit:
    return server.kit(ImpersonationKit)


async def fresh_impersonator(server: ServerOf, now: Now, caller: Annotated[Caller, May("users:impersonate")]) -> Caller:
    """A caller who may act as others, and has proved of late who they are."""
    return await fresh(server, now, caller)


Impersonation = Annotated[ImpersonationKit, Depends(_kit)]
FreshImpersonator = Annotated[Caller, Depends(fresh_impersonator)]
