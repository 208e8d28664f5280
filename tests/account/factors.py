"""Second factors in a browser: an app on somebody's phone, and virtual authenticators beside the browser."""

import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pyotp
from playwright.async_api import Browser, Page, expect
from sqlalchemy import delete, update

from app.auth.models import Session
from app.core.assurance import AAL2
from app.mfa.repository import set_required
from app.passkeys.models import Passkey
from app.users import service as users
from tests.account.scene import Person, Scene, scene
from tests.passkeys.browser import Device
from tests.support.processes import wait_until
from tests.support.smtp import SmtpServer

STEP = timedelta(seconds=30)
ROOM_SECONDS = 15


@dataclass
class Phone:
    """An authenticator app. Each code is good once, and one step to either side of now: so it has three at a time."""

    secret: str
    left: list[int] = field(default_factory=lambda: [-1, 0, 1])

    def code(self) -> str:
        """One that was not used before. That of the step before now waits for a step that does not end at once."""
        if self.left[0] < 0:
            wait_until(lambda: datetime.now(UTC).timestamp() % STEP.total_seconds() < ROOM_SECONDS, "a young step", timeout=31)
        return str(pyotp.TOTP(self.secret).at(datetime.now(UTC) + self.left.pop(0) * STEP))

    def wrong(self) -> str:
        """One that it shows at no time near."""
        near = {pyotp.TOTP(self.secret).at(datetime.now(UTC) + step * STEP) for step in range(-4, 5)}
        return next(code for number in range(10) if (code := f"{number:06}") not in near)


async def phone_of(page: Page) -> Phone:
    """Whoever types the key that a page shows into an app."""
    return Phone((await page.locator(".key").inner_text()).replace(" ", ""))


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def shows(page: Page, text: str) -> None:
    await expect(page.get_by_text(text).first).to_be_visible()


async def is_in(page: Page) -> None:
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()


async def give_password(page: Page, person: Person) -> None:
    """The first step."""
    await page.goto("/account/sign-in")
    await page.get_by_label("Username or mail address").fill(person.username)
    await page.get_by_label("Password", exact=True).fill(person.password)
    await press(page, "Sign in")


async def give_code(page: Page, code: str) -> None:
    await page.get_by_label("Code of the app").fill(code)
    await press(page, "Go on")


async def set_up_app(page: Page) -> Phone:
    """From the page about security."""
    await page.goto("/account/security")
    await press(page, "Set up an app")
    phone = await phone_of(page)
    await page.get_by_label("Code of the app").fill(phone.code())
    await press(page, "Confirm")
    await shows(page, "The authenticator app counts from now on.")
    return phone


async def guard(stage: Scene, person: Person) -> Phone:
    """An app by the API, for somebody who has no factor yet."""
    tokens = await stage.log_in(person, "an app")
    async with httpx2.AsyncClient(base_url=stage.base_url) as client:
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        started = await client.post("/auth/mfa/totp", json={}, headers=bearer)
        phone = Phone(started.json()["secret"])
        confirmed = await client.post("/auth/mfa/totp/confirm", json={"code": phone.code()}, headers=bearer)
        assert confirmed.status_code == 200, confirmed.text
        bearer = {"Authorization": f"Bearer {confirmed.json()['access_token']}"}
        made = await client.post("/auth/mfa/recovery-codes", json={}, headers=bearer)
        assert made.status_code == 200, made.text
    return phone


async def add_passkey_row(stage: Scene, person: Person, name: str, *, synced: bool) -> None:
    """A passkey to look at: nobody holds its key."""
    moment = datetime.now(UTC)
    async with stage.database() as db:
        owner = await users.get_by_name(db, person.username)
        db.add(
            Passkey(
                id=uuid.uuid4(),
                user_id=owner.id,
                credential_id=secrets.token_bytes(32),
                public_key=secrets.token_bytes(77),
                user_handle=secrets.token_bytes(64),
                sign_count=0,
                name=name,
                aaguid=uuid.UUID(int=0),
                transports="internal",
                discoverable=True,
                backup_eligible=synced,
                backed_up=synced,
                uv_initialized=synced,
                created_at=moment,
                last_used_at=moment if synced else None,
            )
        )


async def strengthen(stage: Scene) -> None:
    """As if everybody who is signed in had given a second factor."""
    async with stage.database() as db:
        await db.execute(update(Session).values(acr=AAL2))


async def remove_passkey_rows(stage: Scene) -> None:
    """All there are, so that nobody owes a second step any more."""
    async with stage.database() as db:
        await db.execute(delete(Passkey))


async def require_factor(stage: Scene, person: Person) -> None:
    """As an admin does who wants this person to have a second factor."""
    async with stage.database() as db:
        owner = await users.get_by_name(db, person.username)
        await set_required(db, owner.id, datetime.now(UTC))


@asynccontextmanager
async def local(browser: Browser, smtp: SmtpServer, env: Mapping[str, str], folder: Path) -> AsyncIterator[Scene]:
    """A server at a name, since passkeys belong to names."""
    async with scene(browser, smtp, env, folder, host="localhost") as made:
        yield made


@asynccontextmanager
async def virtual(stage: Scene, page: Page) -> AsyncIterator[Device]:
    """The authenticators beside a page."""
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("WebAuthn.enable", {"enableUI": False})
    async with httpx2.AsyncClient(base_url=stage.base_url) as client:
        yield Device(page, cdp, client)
