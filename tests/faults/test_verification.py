"""kill -9 between a registration that was answered and its mail: the mail arrives, and its link makes the account."""

from pathlib import Path

import pytest

from tests.faults.traffic import Person, new_person
from tests.faults.world import World, broken
from tests.mail.postman import token_in
from tests.support.servers import ServerProcess
from tests.verification.letters import VERIFY, code_in

pytestmark = pytest.mark.faults
PEOPLE = 6


async def registered_through_a_kill(world: World, *, launcher: Path | None = None, patience: float = 60.0) -> list[str]:
    """Register while no mail gets through, kill the server, mend the mail server, start again; what went wrong."""
    world.smtp.set_mode("tempfail")
    server = world.serve(launcher=launcher, EMAIL_VERIFICATION="required", WORKER_IN_SERVER="true")
    people = [new_person() for _ in range(PEOPLE)]
    for person in people:
        reply = await world.traffic.send(server, "sign up", "POST", "/auth/register", json=_body(person))
        assert reply.status == 202, f"{reply} {reply.body}"
    world.smtp.wait_for_connections(PEOPLE, timeout=30)
    server.kill()
    assert world.count("SELECT count(*) FROM users") == 0
    world.smtp.set_mode("ok")
    # The leases of the dead run out after a minute; the rows are told that they have.
    world.rows("UPDATE jobs SET lease_until = '2020-01-01 00:00:00.000000'")
    server.start().wait_ready()
    found = [each for number, person in enumerate(people) for each in await _finish(world, server, person, number, patience)]
    audited = world.count("SELECT count(*) FROM audit_events WHERE fact = 'user.registered'")
    return found if audited == PEOPLE else [*found, f"{audited} of {PEOPLE} registrations in the audit log"]


def _body(person: Person) -> dict[str, str]:
    return {"username": person.username, "email": person.email, "password": person.password}


async def _finish(world: World, server: ServerProcess, person: Person, number: int, patience: float) -> list[str]:
    try:
        mail = await world.smtp.wait_for_async(person.email, subject=VERIFY, timeout=patience)
    except TimeoutError:
        return ["a mail was lost"]
    token, code = token_in(mail), code_in(mail)
    world.traffic.secrets |= {token, code}
    proof = {"token": token} if number % 2 else {"email": person.email, "code": code}
    verified = await world.traffic.send(server, "verify", "POST", "/auth/verify-email", json=proof)
    again = await world.traffic.send(server, "verify", "POST", "/auth/verify-email", json=proof)
    login = await world.traffic.login(server, person)
    wanted = (200, 400, 200)
    statuses = (verified.status, again.status, login.status)
    return [] if statuses == wanted else [f"verified, verified again, signed in: {statuses}"]


@pytest.mark.promise("P1", "P3", "P4", "P9")
async def test_a_registration_answered_before_a_kill_is_mailed_and_finished_after_it(world: World) -> None:
    assert await registered_through_a_kill(world) == []


@pytest.mark.promise("P4")
async def test_control_a_worker_that_tries_once_loses_those_mails(world: World) -> None:
    found = await registered_through_a_kill(world, launcher=broken("mails_once"), patience=3.0)
    assert "a mail was lost" in found
