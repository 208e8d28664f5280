"""The main job from end to end, in process: register, log in, be known, refresh, log out, be nobody."""

from typing import Any

from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.support import api


async def test_a_person_registers_signs_in_refreshes_and_signs_out(client: AsyncClient) -> None:
    registered = await client.post(
        "/auth/register", json={"username": "alice", "email": "Alice@Example.com", "password": "open sesame 42!"}
    )
    assert registered.status_code == 201, registered.text
    user = registered.json()
    assert user["username"] == "alice"
    assert user["role"] == "user"
    tokens = (await client.post("/auth/login", data={"username": "ALICE", "password": "open sesame 42!"})).json()
    me = await client.get("/auth/me", headers=api.bearer(tokens))
    assert me.status_code == 200
    assert me.json() == user
    fresh = (await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    assert (await client.get("/auth/me/", headers=api.bearer(fresh))).status_code == 200
    assert (await client.post("/auth/logout", headers=api.bearer(fresh))).status_code == 204
    for pair in (tokens, fresh):
        refused = await client.get("/auth/me", headers=api.bearer(pair))
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_forgotten_password_is_reset_by_mail(
    client: AsyncClient, app: FastAPI, smtp: Any, clock: Any, work: Any
) -> None:
    user = await api.new_user(client)
    assert (await client.post("/auth/forgot-password", json={"email": user.email})).status_code == 202
    clock.advance(seconds=3)
    await work()
    mail = await smtp.wait_for_async(user.email)
    (link,) = {found for found in smtp_links(mail) if "token=" in found}
    token = link.partition("token=")[2]
    done = await client.post("/auth/reset-password", json={"token": token, "new_password": "quite another 1!"})
    assert done.status_code == 204, done.text
    again = await client.post("/auth/reset-password", json={"token": token, "new_password": "quite another 1!"})
    assert again.status_code == 400
    assert again.json()["code"] == "ticket_invalid"
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 401
    assert (await api.login(client, user.username, "quite another 1!"))["access_token"]


def smtp_links(mail: Any) -> list[str]:
    from tests.support.smtp import links_in

    return links_in(mail)
