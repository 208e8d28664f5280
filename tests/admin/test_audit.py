"""The console's audit log: what a search that can't be read is answered, and that whoever follows it misses nothing."""

import html
import re
import uuid
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.audit import service
from app.audit.facts import Fact
from app.audit.following import BACK, MOST_AHEAD
from app.core.server import Server
from tests.admin.scene import check_desk, staff
from tests.audit.chained import STRANGER, execute, seal, write
from tests.mail.postman import rows_of
from tests.support.clock import TravellingClock

FAILED = "/admin/audit?fact=user.login.failed"


@dataclass
class Follower:
    """Somebody's page of the log, that asks for more as the script does."""

    client: AsyncClient
    shown: list[int] = field(default_factory=list)
    asks: str = ""

    async def open(self, path: str = FAILED) -> None:
        self._read((await self.client.get(path)).text)

    async def poll(self) -> list[int]:
        """What is new, newest first."""
        answer = await self.client.get(self.asks, headers={"HX-Request": "true"})
        assert answer.status_code == 200, answer.text
        return self._read(answer.text)

    def _read(self, page: str) -> list[int]:
        (self.asks,) = [html.unescape(each) for each in re.findall('hx-get="(/admin/audit/tail[^"]*)"', page)]
        assert len(self.asks) < 4_000
        new = [int(each) for each in re.findall('id="event-([0-9]+)"', page)]
        assert not set(new) & set(self.shown)
        self.shown += new
        return new


async def newest(server: Server) -> int:
    return max(int(row["id"]) for row in await rows_of(server, "audit_events"))


@pytest.mark.parametrize("sealed", [True, False])
async def test_an_event_that_is_committed_behind_a_newer_one_is_shown_all_the_same(
    app: FastAPI, client: AsyncClient, server: Server, sealed: bool
) -> None:
    await staff(app, client, "auditor")
    page = Follower(client)
    await page.open()
    async with server.database.write() as late:
        await service.record(late, Fact.LOGIN_FAILED, STRANGER, server.clock(), subject=uuid.uuid4())
        await write(server)
        second = await newest(server)
        if sealed:
            await seal(server)
        assert await page.poll() == [second]
        assert await page.poll() == []
    assert await page.poll() == [second - 1]
    await seal(server)
    assert await page.poll() == []
    await write(server)
    await seal(server)
    assert await page.poll() == [second + 1]


async def test_each_event_is_shown_once_whenever_it_is_sealed(app: FastAPI, client: AsyncClient, server: Server) -> None:
    await staff(app, client, "auditor")
    page = Follower(client)
    await write(server, 3)
    await page.open()
    assert len(page.shown) == 3
    for seals in (False, True, True, False, False, True):
        await write(server, 2)
        if seals:
            await seal(server)
        assert len(await page.poll()) == 2
    await seal(server)
    assert await page.poll() == []
    assert len(page.shown) == 15


async def test_more_than_can_be_remembered_wait_for_their_place_and_are_shown_then(
    app: FastAPI, client: AsyncClient, server: Server
) -> None:
    """As where no worker runs for a while."""
    await staff(app, client, "auditor")
    page = Follower(client)
    await page.open()
    await write(server, MOST_AHEAD + 30)
    assert [len(await page.poll()) for _ in range(3)] == [50, MOST_AHEAD - 50, 0]
    await seal(server)
    assert [len(await page.poll()) for _ in range(2)] == [30, 0]
    await write(server, 120)
    await seal(server)
    assert [len(await page.poll()) for _ in range(4)] == [50, 50, 20, 0]


async def test_a_row_that_is_not_ours_is_shown_once_too(app: FastAPI, client: AsyncClient, server: Server) -> None:
    await staff(app, client, "auditor")
    await seal(server)
    page = Follower(client)
    await page.open()
    await write(server)
    await execute(server, "UPDATE audit_events SET mark = NULL WHERE fact = 'user.login.failed'")
    await seal(server)
    assert await page.poll() == [await newest(server)]
    assert await page.poll() == []


async def test_what_was_old_when_somebody_began_is_no_news_when_it_is_sealed(
    app: FastAPI, client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    await write(server, 60)
    clock.advance(BACK * 2)
    await staff(app, client, "auditor")
    page = Follower(client)
    await page.open()
    assert len(page.shown) == 50
    await seal(server)
    assert await page.poll() == []


@pytest.mark.parametrize(
    "query", ["after=x&from=y&seen=z", "after=&from=&seen=..", "after=7&from=99999999999&seen=1.-1.2", "seen=1"]
)
async def test_an_address_to_follow_by_that_can_not_be_read_is_no_fault(app: FastAPI, client: AsyncClient, query: str) -> None:
    await staff(app, client, "auditor")
    assert (await client.get(f"/admin/audit/tail?{query}")).status_code == 200


@pytest.mark.parametrize("moment", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "yesterday"])
async def test_a_moment_that_is_none_is_a_fault_of_its_field(app: FastAPI, client: AsyncClient, moment: str) -> None:
    await staff(app, client, "auditor")
    for name in ("since", "until"):
        page = await client.get("/admin/audit", params={name: moment})
        assert "Give a day and a time, in UTC." in page.text, name
        check_desk(page, status=422)
        assert page.status_code < 500, name
