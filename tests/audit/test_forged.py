"""What the database's owner may try who knows how rows are hashed, and how the sealer and the verifier read them."""

from datetime import timedelta

import pytest

from app.audit.chain import BEGINNING, AuditKeys, commit_client, commit_personal
from app.audit.verifying import Trust, verify_database
from app.core.server import Server
from tests.audit.chained import execute, finding, heads_of, rows, seal, seal_anew, sealed_log, trust_of, write
from tests.support.clock import TravellingClock

COPY = (
    "INSERT INTO audit_events (id, at, fact, subject_id, address, user_agent, request_id, data, position)"
    " SELECT {id}, {at}, 'user.erased', subject_id, '', '', 'x', data, {place} FROM audit_events WHERE position = 3"
)


async def test_a_salt_that_is_empty_is_not_one_that_was_erased(server: Server) -> None:
    """Else the digest would count, and anything could stand in the fields."""
    await sealed_log(server)
    row = (await rows(server))[4]
    client, personal = commit_client(row.client_salt, row._mapping), commit_personal(row.personal_salt, row._mapping)
    forged = "UPDATE audit_events SET client_salt = :none, client_digest = :d, address = '198.51.100.9' WHERE position = 5"
    await execute(server, forged, none=b"", d=client)
    assert "position 5:" in await finding(server)
    back = "UPDATE audit_events SET client_salt = :salt, client_digest = NULL, address = :was WHERE position = 5"
    await execute(server, back, salt=row.client_salt, was=row.address)
    assert await finding(server) == ""
    forged = "UPDATE audit_events SET personal_salt = :none, personal_digest = :d, personal = '{\"x\": 1}' WHERE position = 5"
    await execute(server, forged, none=b"", d=personal)
    assert "position 5:" in await finding(server)


async def test_a_row_at_place_nought_is_found(server: Server) -> None:
    """It would be listed with the others, and neither sealed nor verified."""
    await sealed_log(server)
    await execute(server, COPY.format(id=5000, at="at", place=0))
    assert "the row with id 5000 was put in" in await finding(server)
    await execute(server, "DELETE FROM audit_events WHERE position = 0")
    await execute(server, COPY.format(id=0, at="at", place="NULL"))  # the sealer's place for what it refuses is the id, negative
    await seal(server)
    assert "the row with id 0 was put in" in await finding(server)


async def test_marks_of_a_made_up_key_count_only_where_another_key_is_trusted(server: Server) -> None:
    await sealed_log(server)
    await execute(server, "UPDATE audit_events SET fact = 'user.deleted' WHERE position = 5")
    await seal_anew(server)
    await execute(server, "UPDATE audit_events SET mark = :mark", mark=b"some" + bytes(16))
    await execute(server, "DELETE FROM audit_heads")
    assert "position 1: the seal of the row" in await finding(server)
    ours = trust_of(server)
    older = AuditKeys("another secret that is long enough to be one").public
    trust = Trust(ours.public | {older}, ours.keys)
    assert (await verify_database(server.database, trust, [], server.clock)).not_ours == 10


@pytest.mark.parametrize("claim", ["head_position = 1000000", "head_at = '2999-01-01 00:00:00'"])
async def test_nobody_keeps_heads_from_being_signed(server: Server, clock: TravellingClock, claim: str) -> None:
    await sealed_log(server)
    await execute(server, f"UPDATE audit_chain SET {claim}")
    count = len(await heads_of(server))
    clock.advance(timedelta(days=1))
    await write(server, 2)
    await seal(server)
    assert len(await heads_of(server)) == count + 1


async def test_an_erasure_that_waits_counts_only_if_we_wrote_it(server: Server) -> None:
    """No worker runs, and it says it is from a time to come, so that it never waits too long."""
    await sealed_log(server)
    row = (await rows(server))[2]
    blank = "UPDATE audit_events SET client_salt = NULL, client_digest = :d, address = '', user_agent = '' WHERE position = 3"
    await execute(server, blank, d=commit_client(row.client_salt, row._mapping))
    await execute(server, COPY.format(id=5000, at="'2999-01-01 00:00:00'", place="NULL"))
    assert "the row with id 5000 was put in" in await finding(server)


async def test_a_chain_without_its_row_is_found(server: Server) -> None:
    await sealed_log(server)
    await execute(server, "DELETE FROM audit_chain")
    assert "audit_chain" in await finding(server)


async def test_what_a_restore_signed_pins_its_end(server: Server, clock: TravellingClock) -> None:
    """And a cut from before it, of a place behind, is void like any other head."""
    keys = server.kit(AuditKeys)
    await sealed_log(server)
    last = (await rows(server))[-1]
    restored = keys.sign("restored", 10, last.seal, server.clock())
    stale = keys.sign("cut", 12, BEGINNING, server.clock() - timedelta(hours=1))
    await execute(server, "DELETE FROM audit_heads")
    assert await finding(server, [stale.line(), restored.line()]) == ""
    await execute(server, "DELETE FROM audit_events WHERE position > 8")
    await execute(server, "UPDATE audit_chain SET position = 8, seal = (SELECT seal FROM audit_events WHERE position = 8)")
    assert "position 9: the end was cut off" in await finding(server, [stale.line(), restored.line()])
