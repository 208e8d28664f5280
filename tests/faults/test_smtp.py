"""SMTP down, slow, rejecting, half-open, killed mid-way: each mail arrives later, and no answer changes or waits."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from email.message import EmailMessage

import pytest

from tests.faults.checks import longest, untimely
from tests.faults.conftest import Figures
from tests.faults.traffic import Person, Reply, new_password, new_person
from tests.faults.world import World, broken
from tests.support.servers import ServerProcess
from tests.support.smtp import Mode, SmtpServer, links_in

pytestmark = pytest.mark.faults
FAULTS: tuple[Mode | str, ...] = ("down", "tempfail", "reject", "drop", "slow", "killed", "half_open")
PEOPLE_PER_FAULT = 5
CALM_SECONDS = 2.0
ARRIVAL_SECONDS = 60.0
RESET = "Reset your password"  # registering mails as well, which is not what is looked at here


async def mails_through_faults(world: World, server: ServerProcess) -> list[str]:
    """Ask for resets in the middle of each fault; heal; what did not arrive, or arrived in two different forms."""
    chance = random.Random(11)
    people = await world.newcomers(server, PEOPLE_PER_FAULT * len(FAULTS))
    asked: list[Reply] = []
    await asyncio.to_thread(_wait_until_calm, world)
    for number, fault in enumerate(FAULTS):
        group = people[number * PEOPLE_PER_FAULT :][:PEOPLE_PER_FAULT]
        mails, connections = len(world.smtp.messages), world.smtp.connections
        await asyncio.to_thread(_break, world.smtp, fault)
        for person in group:
            stranger = new_person()
            world.traffic.secrets.add(stranger.email)
            asked += [await world.traffic.forgot(server, email) for email in chance.sample([person.email, stranger.email], 2)]
        await asyncio.to_thread(_wait_until_hit, world, fault, mails, connections)
        await asyncio.to_thread(_mend, world.smtp, fault)
    found = untimely(asked, within=CALM_SECONDS) + [f"{reply}" for reply in asked if reply.status != 202]
    if len({str(reply.body) for reply in asked}) != 1:
        found.append("answers differ")
    return found + await _arrived(world, server, people)


def _wait_until_calm(world: World) -> None:
    from tests.support.processes import wait_until

    wait_until(lambda: world.count("SELECT count(*) FROM jobs") == 0, "the mails of registering are sent", timeout=60)


def _break(smtp: SmtpServer, fault: str) -> None:
    if fault == "down":
        smtp.stop()
    elif fault == "killed":
        smtp.set_mode("slow", seconds=30)  # until it is stopped mid-way
    else:
        smtp.set_mode(fault, seconds=1)  # type: ignore[arg-type]  # one of its modes


def _wait_until_hit(world: World, fault: str, mails: int, connections: int) -> None:
    from tests.support.processes import wait_until

    def hit() -> bool:
        if fault == "down":
            return world.count("SELECT count(*) FROM jobs WHERE attempts > 0") > 0
        if fault == "killed":
            return len(world.smtp.messages) > mails
        return world.smtp.connections > connections

    wait_until(hit, f"SMTP {fault} is met", timeout=30)


def _mend(smtp: SmtpServer, fault: str) -> None:
    if fault == "killed":
        smtp.stop()
    smtp.set_mode("ok")
    if fault in {"down", "killed"}:
        smtp.start()


async def _arrived(world: World, server: ServerProcess, people: Iterable[Person]) -> list[str]:
    found: list[str] = []
    for person in people:
        try:
            mail = await world.smtp.wait_for_async(person.email, subject=RESET, timeout=ARRIVAL_SECONDS)
        except TimeoutError:
            return [*found, f"a mail was lost: {Counter(each['Subject'] for each in world.smtp.messages)}"]
        mails = [each for each in [*world.smtp.messages, *world.smtp.dropped] if each["Subject"] == RESET]
        copies = [each for each in mails if each["Delivered-To"] == person.email]
        found += [] if len({(each["Message-ID"], *links_in(each)) for each in copies}) == 1 else ["two different mails"]
        token = _token(mail)
        world.traffic.secrets.add(token)
        reset = await world.traffic.reset(server, token, new_password())
        found += [] if reset.ok else [f"the link that arrived: {reset} {reset.body}"]
    known = {person.email for person in people}
    strays = [mail for mail in world.smtp.messages if mail["Delivered-To"] not in known]
    return found + ["a mail to somebody unknown" for _ in strays]


def _token(mail: EmailMessage) -> str:
    return next(link for link in links_in(mail) if "token=" in link).partition("token=")[2]


@pytest.mark.promise("P4", "P5", "P8", "P9")
async def test_every_mail_arrives_whatever_smtp_does_and_no_answer_tells(world: World, figures: Figures) -> None:
    server = world.serve(WORKER_IN_SERVER="true")

    assert await mails_through_faults(world, server) == []
    figures(mails=PEOPLE_PER_FAULT * len(FAULTS), copies=len(world.smtp.messages), longest=longest(world.traffic.replies))


@pytest.mark.promise("P4")
async def test_control_a_worker_that_tries_once_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.test_smtp.ARRIVAL_SECONDS", 5.0)
    server = world.serve(launcher=broken("mails_once"), WORKER_IN_SERVER="true")

    assert any("a mail was lost" in each for each in await mails_through_faults(world, server))


@pytest.mark.promise("P8")
async def test_control_an_answer_that_depends_on_the_account_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.test_smtp.FAULTS", ("down",))
    server = world.serve(launcher=broken("looks_the_address_up"), WORKER_IN_SERVER="true")

    assert "answers differ" in await mails_through_faults(world, server)


@pytest.mark.promise("P4")
async def test_a_worker_killed_while_it_sends_leaves_the_mail_to_the_next(world: World) -> None:
    server = world.serve()
    person = await world.traffic.newcomer(server)
    worker = world.start(kind="worker")
    await asyncio.to_thread(_wait_until_calm, world)
    world.smtp.set_mode("slow", seconds=30)
    await world.traffic.forgot(server, person.email)
    await world.smtp.wait_for_async(person.email, subject=RESET)
    worker.kill()
    world.smtp.set_mode("ok")
    # Its lease runs out after a minute; the rows are told that it has.
    world.rows("UPDATE jobs SET lease_until = '2020-01-01 00:00:00.000000'")
    worker.start()

    assert await _arrived_again(world, person) == []


async def _arrived_again(world: World, person: Person) -> list[str]:
    await world.smtp.wait_for_async(person.email, count=2, subject=RESET)
    first, second = world.smtp.sent_to(person.email, RESET)
    same = (first["Message-ID"], links_in(first)) == (second["Message-ID"], links_in(second))
    return [] if same else ["another mail the second time"]
