"""Browsers of everybody who looks at pages: what they hold, what they send, and what an answer is in a cell of the matrix."""

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import insert, select, update

from app.core.permissions import Role
from app.mfa.models import MfaRequirement
from app.users.models import User
from tests.account.forms import ORIGIN, Elements
from tests.auth.scene import execute
from tests.support import api
from tests.support.clock import TravellingClock
from tests.users.seeds import seed, seed_row

PAGES = ("/account/", "/admin", "/.well-known/")
CONSOLE = "/admin"
# Where a page leads those it is not for; what else answers by 303 has done something, or points on.
LED = {"sign-in": "/account/sign-in?next=", "prove": "/account/reauthenticate?"}
SAME = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
SESSION, ACTING, FORM = "authkeep", "authkeep-acting", "authkeep-form"
NEW_PASSWORD = f"{api.PASSWORD}2"
PLACE = re.compile(r"{(\w+)}")  # of somebody new, or of nothing that there is
CEREMONY, VERDICT = "/account/sign-in/passkey-options", "/account/password-verdict"  # scripts send them, as JSON


def is_page(path: str) -> bool:
    return path.startswith(PAGES)


def cell_of(answer: Response) -> str:
    """The status, or the word for where somebody is led."""
    place = answer.headers.get("location", "")
    return next(
        (word for word, start in LED.items() if answer.status_code == 303 and place.startswith(start)), str(answer.status_code)
    )


def token_in(shown: Response) -> str:
    assert shown.status_code == 200, shown.text
    (token,) = {str(each["value"]) for each in Elements(shown.text).named("input") if each["name"] == "form_token"}
    return token


@dataclass(frozen=True)
class Browser:
    """Somebody's: its cookies, and the tokens of its forms below /account and in the console."""

    cookies: dict[str, str]
    token: str
    console_token: str
    username: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **SAME}


@dataclass
class Browsers:
    """Those of one server. What somebody has looked with may look again; whoever sends a form is somebody new."""

    app: FastAPI
    clock: TravellingClock
    client: AsyncClient
    kept: dict[str, Browser] = field(default_factory=dict)
    password_hash: str | None = None

    async def ask(self, method: str, path: str, who: str) -> str:
        """One cell."""
        browser = await self._looking(who) if method == "GET" else await self._new(who)
        target = await self._person(Role.USER) if "{user_id}" in path else ""
        url = PLACE.sub(lambda found: target if found[1] == "user_id" else str(uuid.uuid4()), path)
        sent = self._form(browser, path, target) if method == "POST" else {}
        self.client.cookies.clear()
        return cell_of(await self.client.request(method, url, headers=browser.headers, **sent))

    def _form(self, browser: Browser, path: str, target: str) -> dict[str, Any]:
        if path == CEREMONY:
            return {"json": {}}
        token = browser.console_token if path.startswith(CONSOLE) else browser.token
        fields = {"form_token": token, **fields_of(path, browser.username, target)}
        return {"json" if path == VERDICT else "data": fields}

    async def _looking(self, who: str) -> Browser:
        if who not in self.kept:
            self.kept[who] = await self._new(who)
        return self.kept[who]

    async def _new(self, who: str) -> Browser:
        """Of somebody who is `who`, signed in a moment ago."""
        shown = await self._get("/account/forgot", {})
        cookies, token = {FORM: shown.cookies[FORM]}, token_in(shown)
        if who == "anonymous":
            return Browser(cookies, token, token)
        role = Role.SUPPORT if who == "impersonating" else Role(who) if who in set(Role) else Role.ADMIN
        user_id = await self._person(role)
        name = await self._name_of(user_id)
        signed_in = await self._post("/account/sign-in", cookies, form_token=token, username=name, password=api.PASSWORD)
        cookies[SESSION] = signed_in.cookies[SESSION]
        own = token_in(await self._get("/account/forgot", cookies))
        found, server = Browser(cookies, own, own, name), self.app.state.server
        if who == "impersonating":
            return await self._acting(found)
        if who == "disabled":
            await execute(server, update(User).where(User.id == uuid.UUID(user_id)).values(disabled_at=self.clock()))
        if who == "owing":
            await execute(server, insert(MfaRequirement).values(user_id=uuid.UUID(user_id), required_at=self.clock()))
        return found

    async def _acting(self, own: Browser) -> Browser:
        """The console goes on with the own session; everywhere else the browser is the person's."""
        person = await self._person(Role.USER)
        path = f"/admin/users/{person}/impersonate"
        begun = await self._post(path, own.cookies, form_token=own.token, reason="matrix")
        cookies = own.cookies | {ACTING: begun.cookies[ACTING]}
        token = token_in(await self._get("/account/", cookies))
        return Browser(cookies, token, own.console_token, await self._name_of(person))

    async def _get(self, path: str, cookies: dict[str, str]) -> Response:
        self.client.cookies.clear()
        return await self.client.get(path, headers=Browser(cookies, "", "").headers)

    async def _post(self, path: str, cookies: dict[str, str], **fields: str) -> Response:
        self.client.cookies.clear()
        answer = await self.client.post(path, data=fields, headers=Browser(cookies, "", "").headers)
        assert answer.status_code == 303, answer.text
        return answer

    async def _person(self, role: Role) -> str:
        """Somebody new with api.PASSWORD: the row alone, but for the first, who registers."""
        server = self.app.state.server
        if self.password_hash is None:
            account = await api.register(self.client)
            async with server.database.read() as db:
                self.password_hash = await db.scalar(select(User.password_hash).where(User.username == account["username"]))
        (row,) = await seed(server, seed_row(api.new_username(), password_hash=self.password_hash, role=role))
        return str(row["id"])

    async def _name_of(self, user_id: str) -> str:
        async with self.app.state.server.database.read() as db:
            return str(await db.scalar(select(User.username).where(User.id == uuid.UUID(user_id))))


def fields_of(path: str, username: str, target: str) -> dict[str, str]:
    """Of a good form; for what anybody may send an empty one, which everybody is told alike."""
    name = api.new_username()
    somebody_new = {"username": name, "email": f"{name}@example.com", "role": "user"}
    act = {"epoch": "0", "sure": "yes", "session": str(uuid.uuid4())}
    forms: dict[str, dict[str, str]] = {
        "/account/": {"username": username, "display_name": "Somebody"},
        "/account/email": {"new_email": f"{name}@example.org"},
        "/account/leave": {"sure": "yes"},
        "/account/password": {"current_password": api.PASSWORD, "new_password": NEW_PASSWORD},
        VERDICT: {"password": NEW_PASSWORD},
        "/account/reauthenticate": {"password": api.PASSWORD},
        "/account/security/app-code": {"otp": "123456"},
        "/account/security/password-remove": {"sure": "yes"},
        "/account/sessions": {"which": "others"},
        "/admin/bulk": {"action": "log_out", "user": str(uuid.uuid4())},
        "/admin/bulk/new": {"user": str(uuid.uuid4())},
        "/admin/users/create": somebody_new,
        "/admin/users/invite": somebody_new,
        "/admin/users/{user_id}/edit": {**act, **somebody_new},
        "/admin/users/{user_id}/impersonate": {"reason": "matrix"},
        "/admin/users/{user_id}/role": {**act, "role": "support"},
    }
    return forms.get(path, act if target else {})
