"""Sessions that were proved better than by a password: by an authenticator app, or by changing their rows."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyotp
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import update

from app.auth.models import Session
from app.core.assurance import AAL2
from app.core.caller import Assurance, Caller
from app.core.server import Server
from tests.auth.scene import execute, refresh, sid_of
from tests.support import api
from tests.support.clock import TravellingClock

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


@dataclass(frozen=True)
class App:
    """An authenticator app on somebody's phone."""

    secret: str
    clock: TravellingClock

    def code(self) -> str:
        """A code that was not shown before: half a minute later."""
        self.clock.advance(seconds=30)
        return pyotp.TOTP(self.secret).at(self.clock())


async def enrol(client: AsyncClient, clock: TravellingClock, headers: dict[str, str]) -> tuple[App, dict[str, str]]:
    """An authenticator app for whoever is signed in by these headers, and those of the session afterwards."""
    started = await client.post("/auth/mfa/totp", json={}, headers=headers)
    assert started.status_code == 200, started.text
    app = App(started.json()["secret"], clock)
    confirmed = await client.post("/auth/mfa/totp/confirm", json={"code": app.code()}, headers=headers)
    assert confirmed.status_code == 200, confirmed.text
    return app, api.bearer(confirmed.json())


async def log_in_by(client: AsyncClient, user: api.User, app: App, **more: bool) -> dict[str, Any]:
    """The tokens of a login in two steps."""
    first = await client.post("/auth/login", json={"username": user.username, "password": user.password})
    body = {"attempt": first.json()["attempt"], "code": app.code(), **more}
    second = await client.post("/auth/login/totp", json=body)
    assert second.status_code == 200, second.text
    tokens: dict[str, Any] = second.json()
    return tokens
