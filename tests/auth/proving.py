"""Sessions that were proved better than by a password, made by changing their rows: no factor needs to exist."""

import uuid
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.auth.models import Session
from app.core.assurance import AAL2
from app.core.caller import Assurance, Caller
from app.core.server import Server
from tests.auth.scene import execute, refresh, sid_of
from tests.support import api

FIVE_MINUTES = timedelta(minutes=5)


async def prove_row(server: Server, session_id: uuid.UUID, acr: str = AAL2, amr: str = "pwd otp", **values: Any) -> None:
    """As if the session's last proof had been this one."""
    change = update(Session).where(Session.id == session_id).values(acr=acr, amr=amr, **values)
    assert await execute(server, change) == 1


async def proved(server: Server, client: AsyncClient, acr: str = AAL2, amr: str = "pwd otp") -> dict[str, Any]:
    """The tokens of somebody new whose session was proved so well."""
    user = await api.new_user(client)
    await prove_row(server, sid_of(user.tokens), acr, amr)
    tokens: dict[str, Any] = (await refresh(client, user.tokens)).json()
    return tokens


def add_assured(app: FastAPI) -> None:
    """Routes for callers of each level, and for those who proved it within five minutes."""
    for acr in ("aal1", "aal2", "aal2-phr"):
        for path, max_age in ((f"/{acr}", None), (f"/{acr}/lately", FIVE_MINUTES)):
            rule = Assurance(acr, max_age=max_age)

            async def assured(caller: Caller = rule) -> dict[str, str]:  # type: ignore[assignment]  # FastAPI fills it
                return {"who": str(caller.user_id)}

            app.add_api_route(path, assured)
