"""People with passkeys, over HTTP."""

from collections.abc import Mapping
from typing import Any

from httpx2 import AsyncClient, Response

from tests.passkeys.authenticator import Authenticator, Bends, Passkey
from tests.support.api import User, new_user

Json = dict[str, Any]


async def creation(client: AsyncClient, headers: Mapping[str, str]) -> Json:
    """Options to add a passkey."""
    answer = await client.post("/auth/passkeys/options", headers=headers, json={})
    assert answer.status_code == 200, answer.text
    options: Json = answer.json()["public_key"]
    return options


async def add(client: AsyncClient, user: User, credential: Any, **more: Any) -> Response:
    """The answer; who added a passkey goes on with the tokens that it brings."""
    answer = await client.post("/auth/passkeys", headers=user.headers, json={"credential": credential, **more})
    if answer.status_code == 201:
        user.tokens.update(answer.json()["tokens"])
    return answer


async def enrol(
    client: AsyncClient, user: User, authenticator: Authenticator | None = None, bend: Bends | None = None, **more: Any
) -> Json:
    """Add a passkey; what the server shows of it."""
    authenticator = authenticator or Authenticator()
    answer = await add(client, user, authenticator.create(await creation(client, user.headers), bend), **more)
    assert answer.status_code == 201, answer.text
    added: Json = answer.json()["passkey"]
    return added


async def passkeys_of(client: AsyncClient, headers: Mapping[str, str]) -> list[Json]:
    answer = await client.get("/auth/passkeys", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()
    return found


async def somebody(client: AsyncClient, authenticator: Authenticator, count: int = 1) -> User:
    """Somebody new with passkeys in this authenticator, signed in by password and the first of them."""
    user = await new_user(client)
    for _ in range(count):
        await enrol(client, user, authenticator)
    return user


async def asking(client: AsyncClient, **body: Any) -> Json:
    """The answer with options to sign in."""
    answer = await client.post("/auth/login/passkey/options", json=body)
    assert answer.status_code == 200, answer.text
    asked: Json = answer.json()
    return asked


async def send(client: AsyncClient, credential: Any, **more: Any) -> Response:
    return await client.post("/auth/login/passkey", json={"credential": credential, **more})


async def sign_in(
    client: AsyncClient,
    authenticator: Authenticator,
    bend: Bends | None = None,
    *,
    username: str | None = None,
    passkey: Passkey | None = None,
    **more: Any,
) -> Response:
    """By passkey alone, found by the device or by the username; or by `passkey`, whatever the server lists."""
    asked = await asking(client, **({"username": username} if username else {}))
    credential = authenticator.sign(asked["public_key"], bend, passkey=passkey)
    return await send(client, credential, request=asked["request"], **more)


async def begin(client: AsyncClient, user: User) -> str:
    """The attempt of a login by password that owes a second proof."""
    answer = await client.post("/auth/login", json={"username": user.username, "password": user.password})
    assert (answer.status_code, answer.json()["status"]) == (200, "mfa_required"), answer.text
    assert "passkey" in answer.json()["methods"]
    attempt: str = answer.json()["attempt"]
    return attempt


async def go_on(
    client: AsyncClient, authenticator: Authenticator, attempt: str, bend: Bends | None = None, **more: Any
) -> Response:
    """With a login that was begun."""
    asked = await asking(client, attempt=attempt)
    return await send(client, authenticator.sign(asked["public_key"], bend), attempt=attempt, **more)
