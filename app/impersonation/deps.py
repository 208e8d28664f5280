"""Who may act as somebody else, and what the flow needs beside a transaction."""

from typing import Annotated

from fastapi import Depends, Request

from app.core.caller import Caller, May, fresh
from app.core.deps import kit
from app.impersonation.service import ImpersonationKit


async def fresh_impersonator(request: Request, caller: Annotated[Caller, May("users:impersonate")]) -> Caller:
    """A caller who may act as others, and has proved of late who they are."""
    return await fresh(request, caller)


Impersonation = Annotated[ImpersonationKit, kit(ImpersonationKit)]
FreshImpersonator = Annotated[Caller, Depends(fresh_impersonator)]
