"""People with an authenticator app, and the app itself: what the tests of second factors begin with."""

from base64 import b32decode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pyotp

from tests.support import api
from tests.support.clock import TravellingClock

STEP = timedelta(seconds=30)
WRONG = "000000"


@dataclass
class Authenticator:
    """An app with one secret."""

    secret: str

    def code(self, now: datetime, steps: int = 0) -> str:
        """What it shows at a moment, or so many steps later."""
        return str(pyotp.TOTP(self.secret).at(now + steps * STEP))

    def wrong(self, now: datetime) -> str:
        """A code that it shows in no step near this moment."""
        near = {self.code(now, steps) for steps in range(-3, 4)}
        return next(code for number in range(10) if (code := f"{number:06}") not in near)

    def __post_init__(self) -> None:
        assert len(b32decode(self.secret)) == 20


@dataclass
class Guarded:
    """Somebody with an authenticator app, and perhaps recovery codes."""

    user: api.User
    app: Authenticator
    headers: dict[str, str]
    codes: list[str] = field(default_factory=list)


async def start(client: httpx2.AsyncClient, headers: dict[str, str]) -> Authenticator:
    """An app set up from a session, not yet confirmed."""
    answer = await client.post("/auth/mfa/totp", json={}, headers=headers)
    assert answer.status_code == 200, answer.text
    return Authenticator(answer.json()["secret"])


async def enrol(client: httpx2.AsyncClient, clock: TravellingClock, user: api.User, *, codes: bool = False) -> Guarded:
    """The person with an app that counts; the clock goes on, so that its next code is a new one."""
    app = await start(client, user.headers)
    answer = await client.post("/auth/mfa/totp/confirm", json={"code": app.code(clock())}, headers=user.headers)
    assert answer.status_code == 200, answer.text
    clock.advance(STEP)
    guarded = Guarded(user, app, api.bearer(answer.json()))
    if codes:
        made = await client.post("/auth/mfa/recovery-codes", headers=guarded.headers)
        assert made.status_code == 200, made.text
        guarded.codes = made.json()["codes"]
    return guarded


async def new_guarded(client: httpx2.AsyncClient, clock: TravellingClock, *, codes: bool = False) -> Guarded:
    """Somebody new with an app."""
    return await enrol(client, clock, await api.new_user(client), codes=codes)


async def first_step(client: httpx2.AsyncClient, user: api.User, **more: Any) -> dict[str, Any]:
    """The answer to the right password."""
    answer = await client.post("/auth/login", json={"username": user.username, "password": user.password, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def attempt_of(client: httpx2.AsyncClient, user: api.User) -> str:
    """A login that was begun."""
    body = await first_step(client, user)
    assert body["status"] == "mfa_required", body
    return str(body["attempt"])


async def second_step(client: httpx2.AsyncClient, attempt: str, code: str, method: str = "totp", **more: Any) -> httpx2.Response:
    """The answer to a code."""
    return await client.post(f"/auth/login/{method}", json={"attempt": attempt, "code": code, **more})
