"""A person's first day, told once, for every way a server can be put together."""

from typing import Any

import httpx2

from tests.account.forms import Visitor
from tests.support import api
from tests.support.smtp import links_in, text_of

NEW_PASSWORD = "quite another one 1!"


async def registers_and_signs_out(client: httpx2.AsyncClient, username: str) -> None:
    """Register, sign in, be known, refresh, sign out: then every token of the session is dead."""
    registered = await api.register(client, username)
    tokens = await api.login(client, username.upper())
    me = await client.get("/auth/me", headers=api.bearer(tokens))
    assert (me.status_code, me.json()) == (200, registered)
    fresh = (await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    assert (await client.get("/auth/me/", headers=api.bearer(fresh))).status_code == 200
    assert (await client.post("/auth/logout", headers=api.bearer(fresh))).status_code == 204
    for pair in (tokens, fresh):
        refused = await client.get("/auth/me", headers=api.bearer(pair))
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
    spent = await client.post("/auth/refresh", json={"refresh_token": fresh["refresh_token"]})
    assert spent.status_code == 401


async def resets_by_mail(client: httpx2.AsyncClient, mail: Any, user: api.User) -> None:
    """Follow the link of a reset mail by its page, without script; the old session and password are dead."""
    (link,) = {found for found in links_in(mail) if "token=" in found}
    assert link in text_of(mail)
    path, _, token = link.partition("?token=")
    visitor = Visitor(client)
    page = await visitor.open("/account/reset-password", token=token)
    assert path.endswith("/account/reset-password")
    assert (page.status_code, token in page.text) == (200, True)
    form = {"token": token, "new_password": NEW_PASSWORD}
    done = await visitor.post("/account/reset-password", **form)
    assert (done.status_code, done.headers.get("location", "").partition("?")[0]) == (303, "/account/sign-in"), done.text
    assert (await visitor.post("/account/reset-password", **form)).status_code == 400
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 401
    refused = await client.post("/auth/login", data={"username": user.username, "password": user.password})
    assert refused.status_code == 401
    assert (await api.login(client, user.username, NEW_PASSWORD))["access_token"]
