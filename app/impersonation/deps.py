"""Who may act as somebody else, and what the flow needs beside a transaction."""

from typing import Annotated

from fastapi import Depends

from app.core.caller import Caller, May, fresh
from app.core.deps import Now, ServerOf, kit
from app.impersonation.service import ImpersonationKit


async def fresh_impersonator(server: ServerOf, now: Now, caller: Annotated[Caller, May("users:impersonate")]) -> Caller:
    """A caller who may act as others, and has proved of late who they are."""
    return await fresh(server, now, caller)


Impersonation = Annotated[ImpersonationKit, kit(ImpersonationKit)]
FreshImpersonator = Annotated[Caller, Depends(fresh_impersonator)]
