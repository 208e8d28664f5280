"""A browser with virtual authenticators (Chromium's DevTools protocol), on a page of ours and under its policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from playwright.async_api import CDPSession, Page

from tests.account.scene import Scene
from tests.support.api import User, new_user

Json = dict[str, Any]
# What every page does with the module; the options come from the server, the answer goes to it.
CEREMONY = """async ([kind, options, more]) => {
  const passkeys = await import("/static/passkeys.js");
  try {
    const run = kind === "add" ? passkeys.addPasskey : passkeys.usePasskey;
    return { credential: await run(options, more) };
  } catch (error) {
    return { reason: error.reason ?? `${error}` };
  }
}"""
PHONE = {"transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
KEY = {"transport": "usb", "hasResidentKey": False, "hasUserVerification": False}


@dataclass
class Device:
    """A page of ours in a browser, the authenticators beside it, and a client of the server."""

    page: Page
    cdp: CDPSession
    client: httpx2.AsyncClient

    async def plug(self, kind: Json, **more: Any) -> str:
        """Another authenticator, whose user always says yes; its id."""
        options = {"protocol": "ctap2", "automaticPresenceSimulation": True, **kind, **more}
        added: Json = await self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return str(added["authenticatorId"])

    async def unplug(self, authenticator: str) -> None:
        await self.cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})

    async def touch(self, authenticator: str, *, willing: bool) -> None:
        """Whether its user says yes from now on, or nothing at all."""
        setting = {"authenticatorId": authenticator, "enabled": willing}
        await self.cdp.send("WebAuthn.setAutomaticPresenceSimulation", setting)

    async def held(self, authenticator: str) -> list[Json]:
        """What it has in its memory."""
        found = await self.cdp.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})
        return list(found["credentials"])

    async def run(self, kind: str, options: Json, **more: Any) -> Json:
        """A ceremony: a credential, or the reason why there is none."""
        found: Json = await self.page.evaluate(CEREMONY, [kind, options, more])
        return found

    async def creation(self, user: User) -> Json:
        answer = await self.client.post("/auth/passkeys/options", headers=user.headers)
        assert answer.status_code == 200, answer.text
        options: Json = answer.json()["public_key"]
        return options

    async def enrol(self, user: User, name: str = "Passkey") -> Json:
        """A passkey of this device, added."""
        made = await self.run("add", await self.creation(user))
        assert "credential" in made, made
        body = {"credential": made["credential"], "name": name}
        answer = await self.client.post("/auth/passkeys", headers=user.headers, json=body)
        assert answer.status_code == 201, answer.text
        user.tokens.update(answer.json()["tokens"])
        added: Json = answer.json()["passkey"]
        return added

    async def asking(self, **body: Any) -> Json:
        answer = await self.client.post("/auth/login/passkey/options", json=body or None)
        assert answer.status_code == 200, answer.text
        asked: Json = answer.json()
        return asked

    async def sign_in(self, username: str | None = None, **more: Any) -> httpx2.Response:
        """By passkey alone."""
        asked = await self.asking(**({"username": username} if username else {}))
        made = await self.run("use", asked["public_key"], **more)
        assert "credential" in made, made
        return await self.client.post("/auth/login/passkey", json={**made, "request": asked["request"]})

    async def somebody(self) -> User:
        return await new_user(self.client)


@asynccontextmanager
async def device(stage: Scene) -> AsyncIterator[Device]:
    """A browser that has never been here, on the page where one signs in."""
    async with stage.context() as context, httpx2.AsyncClient(base_url=stage.base_url) as client:
        page = await context.new_page()
        cdp = await context.new_cdp_session(page)
        await cdp.send("WebAuthn.enable", {"enableUI": False})
        await page.goto("/account/sign-up")
        yield Device(page, cdp, client)
