"""Pages of the console in each state that looks different: what axe checks, and what `make screenshots` shows."""

import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from playwright.async_api import expect
from sqlalchemy import delete, insert, select

from app.jobs.models import Job
from app.stats.models import StatPoint
from app.stats.service import GAUGES, NAMES
from app.users.models import User
from tests.account.views import PHONE, Visit
from tests.admin import webhook_views
from tests.admin.scene import open_console
from tests.users.seeds import LONG_AGO, seed_row

View = Callable[[Visit], Awaitable[None]]
VIEWS: dict[str, View] = {}
HOSTILE = '<img src=x onerror="alert(1)">'
LONG = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh-Cholmondel"
CROWD = "crowd"
KIND = "letter"


def view(function: View) -> View:
    """Name a view by its function."""
    VIEWS[f"console-{function.__name__.replace('_', '-')}"] = function
    return function


async def crowd(visit: Visit) -> str:
    """Thirty people, some of them odd; the id of the oddest. They are made once."""
    async with visit.scene.database() as db:
        found = await db.scalar(select(User.id).where(User.username_key == f"{CROWD}00"))
        if found is not None:
            return str(found)
        rows = [
            seed_row(
                f"{CROWD}{number:02}",
                role=("user", "support", "auditor")[number % 3 if number < 6 else 0],
                display_name={0: HOSTILE, 1: "\u202eright to left", 2: LONG, 3: "شهرزاد", 4: "Ada Lovelace"}.get(number),
                email_verified_at=LONG_AGO if number % 2 else None,
                disabled_at=LONG_AGO if number % 7 == 3 else None,
                created_at=LONG_AGO + timedelta(days=number),
                last_login_at=None,
                leaving_at=None,
            )
            for number in range(30)
        ]
        await db.execute(insert(User), rows)
        return str(rows[0]["id"])


async def history(visit: Visit) -> None:
    """Counts of every hour of the last thirty days, made once; the worker goes on counting what is new."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        {"name": name, "at": hour - timedelta(hours=back), "value": back * back * 7 % (high + 3), "moved_at": hour}
        for name, high in zip(NAMES, (11, 1300, 45), strict=True)
        for back in range(1, 24 * 30)
    ]
    async with visit.scene.database() as db:
        if await db.get(StatPoint, ("logins", hour - timedelta(days=20))) is None:
            await db.execute(delete(StatPoint).where(StatPoint.name.in_(NAMES)))
            gauges = zip(GAUGES, (318, 4, 1), strict=True)
            rows += [{"name": name, "at": hour, "value": value, "moved_at": datetime.now(UTC)} for name, value in gauges]
            await db.execute(delete(StatPoint).where(StatPoint.name.in_(GAUGES)))
            await db.execute(insert(StatPoint), rows)


async def given_up(visit: Visit) -> str:
    """Jobs of a kind that nobody does: one waits, one was given up, whose id this is. They are made once."""
    now = datetime.now(UTC)
    async with visit.scene.database() as db:
        found = await db.scalar(select(Job.id).where(Job.kind == KIND, Job.dead_at.is_not(None)))
        if found is not None:
            return str(found)
        row = {"kind": KIND, "payload": {"to": HOSTILE, "mail": {"note": LONG}}, "created_at": now - timedelta(days=3)}
        later = {"run_at": now + timedelta(days=1), "attempts": 0}
        await db.execute(insert(Job), [row | later | {"id": uuid.uuid4()}])
        failed = {"attempts": 900, "failing_since": now - timedelta(days=3), "last_error": HOSTILE, "dead_at": now}
        dead = row | failed | {"id": uuid.uuid4(), "run_at": now}
        await db.execute(insert(Job), [dead])
        return str(dead["id"])


@view
async def people(visit: Visit) -> None:
    await crowd(visit)
    await open_console(visit.scene, visit.page)


@view
async def people_searched(visit: Visit) -> None:
    await crowd(visit)
    await open_console(visit.scene, visit.page, "auditor")
    await visit.page.keyboard.press("/")
    await visit.page.keyboard.type(f"{CROWD}0")
    await expect(visit.page.get_by_text(re.compile(r"^People: 10\b"))).to_be_visible()


@view
async def people_none(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/users?q=nobody-at-all")


@view
async def person(visit: Visit) -> None:
    somebody = await visit.scene.register()
    tokens = await visit.scene.log_in(somebody, PHONE)
    assert tokens
    await open_console(visit.scene, visit.page, path=f"/admin/users?q={somebody.username}")
    await visit.page.get_by_role("link", name=somebody.username).click()
    await visit.page.get_by_role("heading", name="What you can do").wait_for()


@view
async def person_odd(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, "support", path=f"/admin/users/{await crowd(visit)}")


@view
async def act(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path=f"/admin/users/{await crowd(visit)}/delete")


@view
async def act_role(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path=f"/admin/users/{await crowd(visit)}/role")


@view
async def edit_refused(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path=f"/admin/users/{await crowd(visit)}/edit")
    await visit.page.get_by_label("Username").fill("no spaces")
    await visit.page.get_by_role("button", name="Save").click()
    await visit.page.get_by_role("alert").wait_for()


@view
async def create(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/users/create")


@view
async def invite(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/users/invite")


@view
async def lockouts(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/lockouts")


@view
async def not_found(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/users/01234567-89ab-7def-8123-456789abcdef")


@view
async def bulk_none(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/bulk")


async def choose(visit: Visit, sought: str) -> None:
    """Everybody on the list's page whose name begins so, for an action that is still to be said."""
    await crowd(visit)
    await open_console(visit.scene, visit.page, path=f"/admin/users?q={sought}")
    await visit.page.get_by_label("All on this page").check()
    await visit.page.get_by_role("button", name="Do something with those chosen").click()
    await visit.page.get_by_role("heading", name="What is to be done?").wait_for()


async def begin(visit: Visit, sought: str, action: str) -> None:
    """A bulk action, as far as the page that shows how far it is."""
    await choose(visit, sought)
    await visit.page.get_by_label("Action", exact=True).select_option(action)
    await visit.page.get_by_role("button", name="Continue").click()
    await visit.page.get_by_role("button", name="Begin").click()
    await visit.page.get_by_role("heading", name="Progress").wait_for()


@view
async def bulk_action(visit: Visit) -> None:
    await choose(visit, f"{CROWD}0")


@view
async def bulk_confirm(visit: Visit) -> None:
    await choose(visit, f"{CROWD}0")
    await visit.page.get_by_label("Action", exact=True).select_option("delete")
    await visit.page.get_by_role("button", name="Continue").click()
    await visit.page.get_by_role("button", name="Begin").wait_for()


@view
async def bulk_done(visit: Visit) -> None:
    await begin(visit, f"{CROWD}2", "enable")
    await expect(visit.page.locator("#progress").get_by_role("status")).to_contain_text("10 of 10")
    await visit.page.get_by_role("heading", name="Left as they were").wait_for()


@view
async def bulk_list(visit: Visit) -> None:
    await bulk_done(visit)
    await visit.page.goto("/admin/bulk")


@view
async def audit(visit: Visit) -> None:
    await visit.scene.log_in(visit.person, PHONE)
    await open_console(visit.scene, visit.page, path="/admin/audit")


@view
async def audit_details(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, "auditor", path="/admin/audit?fact=user.login.succeeded")
    await visit.page.locator("summary").first.click()


@view
async def audit_refused(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/audit?actor=nobody&since=yesterday")
    await visit.page.get_by_role("alert").wait_for()


@view
async def impersonate(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path=f"/admin/users/{await crowd(visit)}/impersonate")


@view
async def acting(visit: Visit) -> None:
    await impersonate(visit)
    await visit.page.get_by_label("Reason").fill("Ticket 4711")
    await visit.page.get_by_role("button", name=f"Act as {CROWD}00").click()
    await visit.page.get_by_role("complementary", name="You act as somebody else").wait_for()


@view
async def home(visit: Visit) -> None:
    await history(visit)
    await open_console(visit.scene, visit.page, path="/admin/")
    await visit.page.get_by_role("heading", name="The last 30 days").wait_for()


@view
async def home_table(visit: Visit) -> None:
    await home(visit)
    await visit.page.locator("summary").first.click()


@view
async def jobs(visit: Visit) -> None:
    await given_up(visit)
    await open_console(visit.scene, visit.page, path="/admin/jobs")


@view
async def jobs_none(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, "auditor", path="/admin/jobs?kind=nothing-of-this-kind")


@view
async def job(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path=f"/admin/jobs/{await given_up(visit)}")


@view
async def mail(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/mail")


@view
async def settings(visit: Visit) -> None:
    await open_console(visit.scene, visit.page, path="/admin/settings")


for each in webhook_views.VIEWS:
    view(each)
