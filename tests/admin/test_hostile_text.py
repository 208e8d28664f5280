"""Text that strangers and staff can have stored, on every page of the console, opened and put in by htmx: it fires nothing."""

import html
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote

import httpx2
from playwright.async_api import BrowserContext, Page, Request, Route, expect
from sqlalchemy import select, update

from app.bulk.models import BulkAction, BulkItem
from app.jobs.models import Job
from app.users.models import User
from app.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.account.conftest import is_complaint
from tests.account.factors import add_passkey_row
from tests.account.scene import Scene
from tests.admin.scene import open_console
from tests.permissions.test_matrix import ROWS

MARK = "pwned"  # on each element that a string would make
HOSTILE = [
    f'"><script class={MARK}>alert(1)</script>',
    f"'><img class={MARK} src=//evil.example/x onerror=alert(1)>",
    f"<svg class={MARK} onload=alert(1)><animate onbegin=alert(1) attributeName=x>",
    f'<b class={MARK} hx-get=//evil.example/ hx-trigger=load hx-on:load="alert(1)">b</b>',
    f"<a class={MARK} href=javascript:alert(1)>a</a>",
    f"</td></table></form><form class={MARK} action=//evil.example><button>Go</button></form>",
    f"<iframe class={MARK} srcdoc='<script>alert(1)</script>'></iframe>",
    f"<style class={MARK}>@import '//evil.example/x'</style>",
    "{{7*7}}${7*7}{%print(1)%}%(x)s%s{0}",
    "javascript:alert(1)//",
    "\u202egnp.exe\u2066 &#0; \\u0000 %00 \\x00",
    f"<i class={MARK}>" + "W" * 220,
]
FILE = "/admin/audit/export"  # is kept and never shown
FRAMED = {"/admin/mail", "/admin/mail/html"}  # with made-up values, under a policy of their own that allows the frame
GETS = sorted({row["path"] for row in ROWS if row["method"] == "GET" and row["path"].startswith("/admin/")})
IDS = ("user_id", "job_id", "bulk_id", "webhook_id", "delivery_id")
HOOK = "/admin/webhooks/{webhook_id}"
EACH = {"/admin/users/{user_id}", "/admin/jobs/{job_id}", "/admin/bulk/{bulk_id}", HOOK, f"{HOOK}/deliveries/{{delivery_id}}"}
SEARCHES = {"/admin/users": "q", "/admin/lockouts": "q", "/admin/jobs": "kind", "/admin/audit": "actor"}
MADE = "(mark) => document.querySelectorAll(`.${mark}, a[href^='javascript'], [onerror], [onload], main [hx-on], base`).length"
HEAR = "document.addEventListener('htmx:afterRequest', () => { document.body.dataset.swapped = 'yes' })"


async def store(stage: Scene) -> dict[str, str]:
    """Each string in each place; the names that the pages' paths hold, of the account and so on of the first string."""
    now, names, people = datetime.now(UTC), [], []
    boss = await stage.admin()
    bearer = {"Authorization": f"Bearer {(await stage.log_in(boss, 'a program'))['access_token']}"}
    async with httpx2.AsyncClient(base_url=stage.base_url) as client:
        for text in HOSTILE:
            person = await stage.register()
            odd = {b"User-Agent": text.encode(), b"X-Request-ID": text.encode()}
            for password, status in ((person.password, 200), ("wrong", 401)):
                body = {"username": person.username, "password": password}
                assert (await client.post("/auth/login", json=body, headers=odd)).status_code == status
            await add_passkey_row(stage, person, text, synced=True)
            async with stage.database() as db:
                user_id = await db.scalar(select(User.id).where(User.username == person.username))
            answer = await client.post(f"/users/{user_id}/impersonate", json={"reason": text[:200]}, headers=bearer)
            assert answer.status_code in {201, 422}, answer.text  # direction overrides and the like are no reason
            people.append((user_id, text))
    async with stage.database() as db:
        for number, (user_id, text) in enumerate(people):
            # More than the rules for names allow: what is in the table is text, whoever put it there.
            values = {"username": text, "username_key": text.lower(), "display_name": text}
            mail = f"{number}{text}@example.com"
            await db.execute(update(User).where(User.id == user_id).values(**values, email=mail, email_key=mail.lower()))
            job, action = uuid.uuid4(), uuid.uuid4()
            failed = {"attempts": 9, "failing_since": now, "last_error": text[:200], "dead_at": now}
            db.add(Job(id=job, kind=text[:64], payload={text: text, "to": text}, created_at=now, run_at=now, **failed))
            stopped = {"state": "stopped", "reason": text[:32], "total": 1, "refused": 1}
            moments = {"created_at": now, "moved_at": now, "ended_at": now}
            db.add(
                BulkAction(
                    id=action,
                    action="disable",
                    started_by=user_id,
                    acting_id=user_id,
                    acting_epoch=0,
                    turn=1,
                    **stopped,
                    **moments,
                )
            )
            db.add(BulkItem(bulk_id=action, user_id=user_id, state="refused", reason=text[:32], done_at=now))
            hook, delivery = uuid.uuid4(), uuid.uuid4()
            told = {"url": text, "description": text[:100], "facts": ["user.registered"], "after_event": 0, "secret_sealed": b""}
            db.add(WebhookEndpoint(id=hook, created_at=now, disabled_at=now, disabled_reason=text[:16], **told))
            sent = {"type": text[:64], "body": text, "state": "dead", "tries": 1, "due_at": now, "settled_at": now}
            db.add(WebhookDelivery(id=delivery, endpoint_id=hook, created_at=now, **sent))
            db.add(WebhookAttempt(delivery_id=delivery, at=now, milliseconds=7, status=500, answer=text))
            ids = {"user_id": user_id, "job_id": job, "bulk_id": action, "webhook_id": hook, "delivery_id": delivery}
            names.append({name: str(each) for name, each in ids.items()})
    return {f"{name}{number}": value for number, each in enumerate(names) for name, value in each.items()}


def addresses(path: str, ids: dict[str, str]) -> list[str]:
    """Where a page of the console shows the strings: each person's page, the other pages of people in turn."""
    if path in SEARCHES:
        return [path, *(f"{path}?{SEARCHES[path]}={quote(text)}" for text in HOSTILE[:2])]
    if path == "/admin/audit/tail":
        return [f"{path}?after=0"]
    if "{" not in path:
        return [path]
    every = path in EACH
    numbers = range(len(HOSTILE)) if every else [GETS.index(path) % len(HOSTILE)]
    return [path.format(**{name: ids[f"{name}{number}"] for name in IDS}) for number in numbers]


@asynccontextmanager
async def listening(stage: Scene, context: BrowserContext, fired: list[str]) -> AsyncIterator[Page]:
    """A page of which everything that a string may set off is written down."""

    def hear(request: Request) -> None:
        if not request.url.startswith((stage.base_url, "data:", "about:", "blob:")):
            fired.append(f"asks {request.url}")

    page = await context.new_page()
    page.on("dialog", lambda dialog: fired.append(f"dialog: {dialog.message}"))
    page.on("pageerror", lambda error: fired.append(f"error: {error}"))
    page.on("console", lambda said: fired.append(said.text) if is_complaint(said.text, said.type) else None)
    context.on("request", hear)
    yield page


async def swap_in(page: Page, address: str) -> None:
    """What this address answers in the place of the people that a search finds, put there by htmx."""

    async def lead(route: Route) -> None:
        if "hx-request" not in route.request.headers:
            await route.continue_()
            return
        answer = await route.fetch(url=address)
        # Without the word that a bulk action is over, on which htmx loads the whole page instead.
        headers = {name: value for name, value in answer.headers.items() if name != "hx-refresh"}
        await route.fulfill(response=answer, headers=headers)

    await page.goto("/admin/users?q=nobody-at-all")
    await page.evaluate(HEAR)
    await page.route("**/admin/users?*", lead)
    await page.get_by_label("Beginning of a username or mail address").fill(secrets.token_hex(4))
    await expect(page.locator("body"), address).to_have_attribute("data-swapped", "yes", timeout=5000)
    await page.unroute("**/admin/users?*")


async def made(page: Page, where: str) -> list[str]:
    """What a string became that should be text."""
    count = await page.evaluate(MADE, MARK)
    return [f"{where}: {count} elements"] if count else []


async def test_stored_hostile_strings_fire_nothing_on_any_page_of_the_console(stage: Scene) -> None:
    ids = await store(stage)
    found: list[str] = []
    async with stage.context() as context, listening(stage, context, found) as page:
        await open_console(stage, page)
        seen = set()
        for path in GETS:
            for number, address in enumerate(addresses(path, ids)):
                if path == FILE:
                    kept = await context.request.get(address)
                    assert kept.headers["content-disposition"].startswith("attachment"), kept.headers
                    seen.add(path)
                    continue
                answer = await page.goto(address)
                assert answer is not None
                assert answer.status == 200 or "actor=" in address, (address, answer.status)
                found += await made(page, address)
                if path == "/admin/users/{user_id}":
                    await expect(page.get_by_text(HOSTILE[number], exact=True).first).to_be_attached()
                if number == 0 and path not in FRAMED:
                    await swap_in(page, stage.base_url + address)
                    found += await made(page, f"{address} by htmx")
                seen.add(path)
        assert seen == set(GETS)
    assert found == []
    assert len(GETS) > 20


async def test_a_page_that_escapes_nothing_is_found_opened_and_by_htmx(stage: Scene) -> None:
    """The control: the same pages with the same headers, but what was escaped is not."""
    person = await stage.register()
    async with stage.database() as db:
        await db.execute(update(User).where(User.username == person.username).values(display_name=HOSTILE[1]))
    found: list[str] = []
    async with stage.context() as context, listening(stage, context, found) as page:

        async def spoil(route: Route) -> None:
            answer = await route.fetch()
            await route.fulfill(response=answer, body=html.unescape(await answer.text()))

        await open_console(stage, page)
        await page.route("**/admin/users?*", spoil)
        await page.goto(f"/admin/users?q={person.username}")
        assert await made(page, "opened") == ["opened: 1 elements"]
        assert any("Content Security Policy" in each for each in found), found
        await page.unroute("**/admin/users?*")
        await page.goto("/admin/users?q=nobody-at-all")
        await page.route("**/admin/users?*", spoil)
        await page.get_by_label("Beginning of a username or mail address").fill(person.username)
        await expect(page.locator(f".{MARK}")).to_have_count(1)
        assert await made(page, "by htmx") == ["by htmx: 1 elements"]
