"""People brought in: with all they had, once, whole batches or none, and nobody whom a rule or somebody else is in the way of."""

import asyncio
import json
import tracemalloc
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from hashlib import pbkdf2_hmac
from typing import Any

import cbor2
import pyotp
import pytest
from httpx2 import AsyncClient

from app.audit import service as audit
from app.auth.carried import MOST_KINDS
from app.core.server import Server
from app.database import Clash
from app.transfer import service
from app.transfer.errors import BadFile
from app.transfer.forms import Context
from app.transfer.hashes import read_django
from app.transfer.reading import Record
from app.transfer.rules import Rules
from app.transfer.service import Importing, Plan
from app.users import many
from app.verification.service import KeptNames
from tests.auth.scene import events
from tests.mail.postman import rows_of
from tests.mfa.app_of import Authenticator, second_step
from tests.passkeys.authenticator import RP_ID, Key, b64
from tests.passkeys.authenticator import Authenticator as Keys
from tests.passkeys.scene import somebody
from tests.support import api
from tests.support.clock import TravellingClock
from tests.transfer.scene import CHEAP, bring, names, person, taken_out

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def passkey(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "rp_id": RP_ID,
        "credential_id": b64(bytes([number]) * 32),
        "public_key": b64(cbor2.dumps(Key().cose(), canonical=True)),
        "user_handle": b64(b"h" * 64),
        "uv_initialized": True,
        **more,
    }


async def test_people_come_with_all_they_had(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    brought = await bring(
        server,
        [
            person(
                "Alice",
                id="0197cd2e-0d2b-7b50-a8f9-5d4a1c0f7a11",
                password_hash=CHEAP,
                email_verified=True,
                created_at="2024-05-06T07:08:09Z",
                display_name="Alice Example",
                locale="de",
            ),
            person("bob", password_hash=CHEAP, totp=SECRET, disabled=False),
            person("carol", password_hash=CHEAP, disabled=True),
            person("dora"),
        ],
    )
    assert brought.numbers == (4, 0, 0)
    tokens = await api.login(client, "alice")
    me = (await client.get("/auth/me", headers=api.bearer(tokens))).json()
    assert {name: me[name] for name in ("id", "username", "email", "role", "email_verified", "display_name", "locale")} == {
        "id": "0197cd2e-0d2b-7b50-a8f9-5d4a1c0f7a11",
        "username": "Alice",
        "email": "alice@example.com",
        "role": "user",
        "email_verified": True,
        "display_name": "Alice Example",
        "locale": "de",
    }
    assert me["created_at"].startswith("2024-05-06T07:08:09")
    for name in ("carol", "dora"):  # disabled; without a password
        refused = await client.post("/auth/login", data={"username": name, "password": api.PASSWORD})
        assert refused.status_code == 401
    owed = await client.post("/auth/login", data={"username": "bob", "password": api.PASSWORD})
    assert owed.json()["status"] == "mfa_required", owed.text
    clock.advance(timedelta(seconds=30))
    code = pyotp.TOTP(SECRET).at(clock())
    assert (await second_step(client, owed.json()["attempt"], code)).status_code == 200


async def test_each_has_one_record_and_nobody_is_mailed(server: Server) -> None:
    await bring(server, [person("alice"), person("bob")])
    recorded = await events(server, "user.imported")
    ids = {row["id"] for row in await rows_of(server, "users")}
    assert {event.subject_id.hex for event in recorded if event.subject_id} == {str(each).replace("-", "") for each in ids}
    assert len(recorded) == 2
    assert {(event.actor_id, event.user_agent) for event in recorded} == {(None, "command line")}
    assert all(event.data == {"role": "user", "format": "authkeep"} for event in recorded)
    assert await rows_of(server, "jobs") == []


async def test_the_same_file_twice_changes_nothing_and_says_so(client: AsyncClient, server: Server) -> None:
    people = [person("alice", password_hash=CHEAP, totp=SECRET), person("bob", passkeys=[passkey()])]
    assert (await bring(server, people)).numbers == (2, 0, 0)
    before = {table: await rows_of(server, table) for table in ("users", "totp_factors", "passkeys", "audit_events")}
    assert (await bring(server, people)).numbers == (0, 2, 0)
    assert {table: await rows_of(server, table) for table in before} == before


async def test_a_file_of_somebody_elses_changes_no_account_that_is_there(client: AsyncClient, server: Server) -> None:
    alice = await api.new_user(client)
    before = await rows_of(server, "users")
    rows = [
        {"username": alice.username, "email": alice.email.upper(), "password_hash": CHEAP, "role": "admin", "totp": SECRET},
        {"username": "other", "email": alice.email},
        {"username": alice.username.upper(), "email": "other@example.com"},
        {"id": alice.id, "username": "mallory", "email": "mallory@example.com"},
    ]
    brought = await bring(server, rows, trusted=True)
    assert brought.numbers == (0, 2, 2)
    assert brought.refused == [(2, "email"), (3, "username")]
    assert await rows_of(server, "users") == before
    assert await rows_of(server, "totp_factors") == []


async def test_somebody_else_who_has_the_address_is_in_the_way_of_an_id(client: AsyncClient, server: Server) -> None:
    """Nobody keeps an account away from its owner by registering with their address first, and unseen."""
    squatter = await api.new_user(client)
    theirs = "0197cd2e-0d2b-7b50-a8f9-5d4a1c0f7a11"
    row = {"id": theirs, "email": squatter.email, "hashed_password": CHEAP, "is_active": True}
    assert (await bring(server, [row], form="fastapi-users")).refused == [(1, "email")]
    own = person(squatter.username, id=theirs, email=squatter.email)
    assert (await bring(server, [own])).refused == [(1, "email")]
    assert (await bring(server, [person(squatter.username, email=squatter.email)])).numbers == (0, 1, 0)


async def test_a_row_that_no_library_can_check_comes_to_no_login(client: AsyncClient, server: Server) -> None:
    await api.register(client, "usual")
    odd = [
        person("evil", password_hash=f"$scrypt$ln=17,r=1,p=1,l=64$c2FsdHNhbHQ${'A' * 86}"),
        person("eviler", password_hash=f"$firebase-scrypt$ln=17,r=1$c2FsdHNhbHQ${'A' * 86}"),
    ]
    assert (await bring(server, odd)).refused == [(1, "password_hash"), (2, "password_hash")]
    await api.login(client, "usual")
    answer = await client.post("/auth/login", data={"username": "nobody", "password": api.PASSWORD})
    assert answer.status_code == 401


async def test_kinds_beyond_the_fourth_are_left_behind_if_the_operator_says_so(server: Server) -> None:
    key = "A" * 43
    rows = [
        person(f"person{lanes}", password_hash=f"$argon2id$v=19$m=512,t=1,p={lanes}$c29tZXNhbHRzb21lc2FsdA${key}")
        for lanes in range(1, 7)
    ]
    assert (await bring(server, rows)).refused == [(5, "password_hash"), (6, "password_hash")]
    brought = await bring(server, rows, drop=True)
    assert (brought.numbers, brought.counts.bare) == ((2, 4, 0), 2)
    assert len(await rows_of(server, "hash_schemes")) == 4


async def test_hashes_of_many_years_of_django_all_come(server: Server) -> None:
    """It raises the iterations with each release."""
    rows = [
        {
            "username": f"person{rounds}",
            "email": f"person{rounds}@example.com",
            "password": f"pbkdf2_sha256${rounds}$salt${b64encode(pbkdf2_hmac('sha256', b'x', b'salt', rounds)).decode()}",
        }
        for rounds in (1000, 1200, 1500, 1800, 2160, 2600, 3200)
    ]
    assert (await bring(server, rows, form="django")).numbers == (7, 0, 0)


async def test_rows_are_read_one_by_one_and_no_batch_of_them_is_held(server: Server) -> None:
    """Of a row of a megabyte a few hundred bytes are wanted."""
    row = json.dumps({"email": "", "bio": "x" * 900_000}).encode()
    most = 0

    def lines() -> Iterator[Record]:
        nonlocal most
        for number in range(60):
            yield Record(number, json.loads(row) | {"email": f"person{number}@example.com", "passwordHash": CHEAP})
            most = max(most, tracemalloc.get_traced_memory()[0])

    importing = Importing(server, Plan("auth0", ".jsonl", Context(Rules(derive=True), server.clock())), lambda _: None)
    tracemalloc.start()
    try:
        counts = await importing.run(lines(), lambda: None)
    finally:
        tracemalloc.stop()
    assert counts.added == 60
    assert most < 10 * 900_000


async def test_doubles_by_case_in_the_file_are_refused(server: Server) -> None:
    rows = [
        person("alice"),
        {"username": "ALICE", "email": "second@example.com"},
        {"username": "second", "email": "ALICE@EXAMPLE.COM"},
        {"username": "aLICE", "email": "Alice@example.com"},
        person("bob", id="0197cd2e-0d2b-7b50-a8f9-5d4a1c0f7a11"),
        person("carol", id="0197CD2E-0D2B-7B50-A8F9-5D4A1C0F7A11"),
    ]
    brought = await bring(server, rows)
    assert brought.refused == [(2, "username"), (3, "email"), (4, "email"), (6, "id")]
    assert await names(server) == ["alice", "bob"]


HOSTILE = [
    b'{"username":"crlf\\r\\n","email":"a1@example.com"}',
    b'{"username":"crlf","email":"a2@example.com\\r\\nBcc: x@example.com"}',
    b'{"username":"nul\\u0000","email":"a3@example.com"}',
    b'{"username":"nul","email":"a4@example.com","display_name":"a\\u0000b"}',
    b'{"username":"lone","email":"a5@example.com","display_name":"\\ud800"}',
    b'{"username":"bidi","email":"a6@example.com","display_name":"\\u202eevil"}',
    b'{"username":"=cmd()","email":"a7@example.com"}',
    b'{"username":"dear","email":"a8@example.com","password_hash":"$2b$31$' + b"a" * 53 + b'"}',
    b'{"username":"long","email":"' + b"a" * 300 + b'@example.com"}',
    b'{"username":"' + b"a" * 40 + b'","email":"a9@example.com"}',
    b'{"username":"longhash","email":"b1@example.com","password_hash":"' + b"$" * 5000 + b'"}',
    b'{"username":"bad\xff\xfe","email":"b2@example.com"}',
    b'{"username":"bad","email":"b3@example.com","display_name":"\xff"}',
    b'{"username":"broken","email":"b4@example.com"',
    b"[]",
    b'"alice"',
    b"null",
    b"NaN",
    b"[" * 100_000,
    b'{"username":' + b"9" * 6000 + b',"email":"b5@example.com"}',
    b'{"username":"admin9","email":"b6@example.com","role":"admin"}',
    b'{"username":"norole","email":"b7@example.com","role":"owner"}',
    b'{"username":"norole","email":"b8@example.com","role":["user"]}',
    b'{"username":"root","email":"b9@example.com"}',
    b'{"username":"none"}',
    b'{"email":"c1@example.com","username":null,"is_superuser":true}',
    b'{"username":"future","email":"c2@example.com","created_at":"2999-01-01T00:00:00Z"}',
    b'{"username":"past","email":"c3@example.com","created_at":"0001-01-01T00:00:00+14:00"}',
    b'{"username":"moment","email":"c4@example.com","created_at":17}',
    b'{"username":"flag","email":"c5@example.com","email_verified":"perhaps"}',
    b'{"username":"secret","email":"c6@example.com","totp":"no base32!"}',
    b'{"username":"secret","email":"c7@example.com","totp":"otpauth://totp/x?secret=' + b"A" * 32 + b'&algorithm=SHA512"}',
    b'{"username":"secret","email":"c8@example.com","totp":"AAAA"}',
    b'{"username":"keys","email":"c9@example.com","passkeys":[{"rp_id":"localhost"}]}',
    b'{"username":"keys","email":"d1@example.com","passkeys":"none"}',
    b'{"username":"uuid","email":"d2@example.com","id":"7"}',
    b'{"username":"uuid","email":"d4@example.com","id":"\\u001b[31m97cd2e-0d2b-7b50-a8f9-5d4a1c0f7a11"}',
    b'{"username":"uuid","email":"d5@example.com","passkeys":[{"aaguid":"\\u001b[31m"}]}',
    b'{"username":"' + b"x" * 1_100_000 + b'","email":"d3@example.com"}',
]


async def test_hostile_lines_are_refused_and_the_run_goes_on(server: Server) -> None:
    good = [json.dumps(person(f"good{number}")).encode() for number in range(len(HOSTILE) + 1)]
    lines = [line for pair in zip(good, HOSTILE, strict=False) for line in pair]
    brought = await bring(server, b"\xef\xbb\xbf" + b"\n".join([*lines, good[-1]]))
    assert [each.line for each in brought.conflicts] == [2 * number for number in range(1, len(HOSTILE) + 1)]
    assert await names(server) == sorted(f"good{number}" for number in range(len(HOSTILE) + 1))
    told = " ".join(f"{each.what} {each.why}" for each in brought.conflicts)
    assert told.isprintable()
    assert "example.com" not in told
    assert "Bcc" not in told


async def test_hostile_cells_are_refused_and_the_run_goes_on(server: Server) -> None:
    table = (
        b"username,email,display_name,role\r\n"
        b"good1,good1@example.com,Good One,user\r\n"
        b'evil,evil1@example.com,"=HYPERLINK(""http://evil"")",user\r\n'
        b"=evil,evil2@example.com,,\r\n"
        b'evil,"evil3@example.com\r\nBcc: x",,\r\n'
        b"evil,evil4@example.com,a\x00b,\r\n"
        b"evil,evil5@example.com\r\n"
        b"evil,evil6@example.com,\xff\xfe,\r\n"
        b'evil,evil7@example.com,"a"b,\r\n'
        b"+evil,evil8@example.com,,\r\n"
        b"good2,good2@example.com,'=1+1,\r\n"
        b"evil,-evil9@example.com,,\r\n"
        b"evil," + b"e" * 1_200_000 + b",,\r\n"
        b"good3,good3@example.com,,\r\n"
        b'evil,"evil10@example.com,,\r\n'
    )
    brought = await bring(server, table, kind=".csv")
    assert brought.numbers == (3, 0, 11)
    assert [each.line for each in brought.conflicts] == [3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 16]
    assert await names(server) == ["good1", "good2", "good3"]
    assert {row["display_name"] for row in await rows_of(server, "users")} == {"Good One", "=1+1", None}


@pytest.mark.parametrize("head", [b"\r\n", b"a,a\r\n", b"a,\r\n", b"\x00,b\r\n", b'"a\r\n', b"x" * 1_200_000 + b"\r\n"])
async def test_a_table_without_names_of_its_columns_is_no_table(server: Server, head: bytes) -> None:
    with pytest.raises(BadFile):
        await bring(server, head + b"alice,alice@example.com\r\n", kind=".csv")
    with pytest.raises(BadFile):
        await bring(server, b"", kind=".csv")


async def test_staff_and_reserved_names_take_a_word_of_the_operator(server: Server) -> None:
    rows = [person("boss", role="admin"), person("helper", role="support"), person("admin"), person("alice")]
    assert (await bring(server, rows)).refused == [(1, "role"), (2, "role"), (3, "username")]
    assert (await bring(server, rows, trusted=True)).numbers == (3, 1, 0)
    roles = {row["username"]: row["role"] for row in await rows_of(server, "users")}
    assert roles == {"boss": "admin", "helper": "support", "admin": "user", "alice": "user"}
    assert Counter(event.data["role"] for event in await events(server, "user.imported")) == {
        "user": 2,
        "admin": 1,
        "support": 1,
    }


async def test_names_that_are_not_allowed_are_refused_or_derived(server: Server) -> None:
    rows = [
        {"username": "anna.m", "email": "anna@example.com"},
        {"username": "anna@m", "email": "anna@example.org"},
        {"username": "x", "email": "x@example.com"},
        {"username": "Jörg Ω", "email": "joerg@example.com"},
        {"email": "plain.person@example.com"},
        {"username": "root", "email": "root@example.com"},
        {"username": "a" * 200, "email": "long@example.com"},
        {"username": "fine", "email": "fine@example.com"},
        {"username": "annam", "email": "anna@example.net"},
    ]
    refused = await bring(server, rows[:-1])
    assert refused.refused == [(number, "username") for number in range(1, 8) if number != 5]
    assert await names(server) == ["fine", "plainperson"]
    brought = await bring(server, rows, derive=True)
    assert brought.numbers == (6, 2, 1)  # the last one's name is its own, and somebody has it
    assert brought.refused == [(9, "username")]
    found = {row["email"]: row["username"] for row in await rows_of(server, "users")}
    assert found["anna@example.com"] == "annam"
    assert found["anna@example.org"] == "anna"
    assert found["joerg@example.com"] == "Jrg"
    assert found["long@example.com"] == "a" * 32
    for email, beginning in (("x@example.com", "x"), ("root@example.com", "root")):
        assert found[email].startswith(beginning)
        assert len(found[email]) > len(beginning)
        assert found[email].isalnum()
    assert (await bring(server, rows, derive=True)).numbers == (0, 8, 1)


async def test_a_dry_run_says_the_same_and_does_nothing(server: Server) -> None:
    await bring(server, [person("alice")])
    rows = [person("Alice"), person("bob"), person("BOB", email="other@example.com"), person("eve", role="admin")]
    tables = ("users", "audit_events", "hash_schemes")
    before = [await rows_of(server, table) for table in tables]
    said = await bring(server, rows, dry_run=True)
    assert [await rows_of(server, table) for table in tables] == before
    done = await bring(server, rows)
    assert said.numbers == done.numbers == (1, 1, 2)
    assert said.refused == done.refused == [(3, "username"), (4, "role")]


async def test_a_dry_run_knows_doubles_of_other_batches(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 1)
    kinds = [f"$argon2id$v=19$m={64 + number},t=1,p=1$c29tZXNhbHRzb21lc2FsdA${'A' * 43}" for number in range(MOST_KINDS + 1)]
    rows = [person(f"p{number}", email=f"p{number}@example.com", password_hash=kind) for number, kind in enumerate(kinds, 100)]
    rows += [{"username": "P100", "email": "other@example.com"}, {"username": "other", "email": "P101@example.com"}]
    expected = [(MOST_KINDS + 1, "password_hash"), (MOST_KINDS + 2, "username"), (MOST_KINDS + 3, "email")]
    assert (await bring(server, rows, dry_run=True)).refused == expected
    assert (await bring(server, rows)).refused == expected


async def test_what_cannot_be_carried_over_is_left_behind_if_the_operator_says_so(server: Server) -> None:
    rows = [
        person("alice", password_hash="$2b$31$" + "a" * 53),
        person("bob", totp="otpauth://totp/x?secret=AAAA&digits=8", password_hash=CHEAP),
        person("carol", passkeys=[passkey(rp_id="elsewhere.example")]),
        person("dora", display_name="\u3164"),
    ]
    refused = await bring(server, rows)
    assert refused.refused == [(1, "password_hash"), (2, "totp"), (3, "passkeys"), (4, "display_name")]
    assert (await bring(server, rows, drop=True)).numbers == (4, 0, 0)
    found = {row["username"]: row["password_hash"] for row in await rows_of(server, "users")}
    assert found == {"alice": None, "bob": CHEAP, "carol": None, "dora": None}
    assert await rows_of(server, "totp_factors") == await rows_of(server, "passkeys") == []


async def test_names_and_addresses_that_are_kept_stay_kept(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def held_among(_self: object, _db: object, names: Any, addresses: Any, _now: object) -> set[str]:
        return {"kept", "kept@example.com"}.intersection([*names, *addresses])

    monkeypatch.setattr(KeptNames, "held_among", held_among)
    rows = [person("kept", email="a@example.com"), person("other", email="Kept@Example.com"), person("free")]
    assert (await bring(server, rows)).refused == [(1, "username"), (2, "email")]


async def test_a_batch_whose_names_are_taken_meanwhile_is_looked_at_anew(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody registers between the look and the insert: the constraint says so, and the second look sees them."""
    plain, looks = many.list_known, []

    async def stale(*arguments: Any) -> Any:
        looks.append(1)
        return [] if len(looks) == 1 else await plain(*arguments)

    await api.register(client, "alice", "somebody@example.com")
    monkeypatch.setattr(many, "list_known", stale)
    brought = await bring(server, [person("alice"), person("bob")])
    assert brought.numbers == (1, 0, 1)
    assert len(looks) == 2
    assert await names(server) == ["alice", "bob"]
    assert len(await events(server, "user.imported")) == 1


async def test_one_who_is_never_let_in_gives_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def clash(*_: Any) -> None:
        raise Clash

    monkeypatch.setattr(many, "create_users", clash)
    with pytest.raises(BadFile):
        await bring(server, [person("alice")])
    assert await names(server) == []


async def test_two_runs_at_once_bring_nobody_twice(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 7)
    people = [person(f"person{number}", totp=SECRET) for number in range(60)]
    brought = await asyncio.gather(*(bring(server, people) for _ in range(2)))
    assert sum(each.counts.added for each in brought) == 60
    assert sum(each.counts.there for each in brought) == 60
    assert len(await names(server)) == len(await rows_of(server, "totp_factors")) == 60
    assert len(await events(server, "user.imported")) == 60


async def test_a_batch_and_its_records_are_all_or_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    plain, written = audit.record_many, []

    async def breaks(*arguments: Any) -> None:
        await plain(*arguments)
        written.append(1)
        if len(written) == 2:
            raise RuntimeError("no more")

    monkeypatch.setattr(audit, "record_many", breaks)
    people = [person(f"person{number}", password_hash=CHEAP, totp=SECRET) for number in range(6)]
    with pytest.raises(RuntimeError):
        await bring(server, people)
    assert (
        len(await names(server)) == len(await events(server, "user.imported")) == len(await rows_of(server, "totp_factors")) == 2
    )
    monkeypatch.undo()
    assert (await bring(server, people)).numbers == (4, 2, 0)
    assert len(await events(server, "user.imported")) == 6


async def test_a_passkey_signs_in_where_its_rp_id_is_the_same(client: AsyncClient, server: Server) -> None:
    authenticator = Keys()
    owner = await somebody(client, authenticator)
    line = json.loads((await taken_out(server, credentials=True)).splitlines()[0])
    assert [each["rp_id"] for each in line["passkeys"]] == [RP_ID]
    taken = await bring(server, [{**person("mallory"), "passkeys": line["passkeys"]}])
    assert taken.refused == [(1, "passkeys")]
    twice = await bring(server, [person("alice", passkeys=[passkey(), passkey()]), person("bob", passkeys=[passkey(2)])])
    assert twice.refused == [(1, "passkeys")]
    assert (await bring(server, [person("eve", passkeys=[passkey(2)])])).refused == [(1, "passkeys")]
    assert owner.username in await names(server)


@pytest.mark.parametrize(
    "more",
    [
        {"rp_id": "example.com"},
        {"credential_id": "AAAA"},
        {"public_key": b64(b"\xa0")},
        {"public_key": b64(b"junk")},
        {"public_key": "=="},
        {"user_handle": b64(b"h" * 65)},
        {"name": "a\nb"},
        {"sign_count": -1},
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"created_at": "9999-12-31T23:59:59-14:00"},
        {"created_at": "2999-01-01T00:00:00Z"},
        {"last_used_at": "1969-12-31T00:00:00Z"},
        {"last_used_at": "2999-01-01T00:00:00Z"},
        {"sign_count": 2**32},
        {"unknown": 1},
    ],
)
async def test_odd_passkeys_are_refused(server: Server, more: dict[str, Any]) -> None:
    assert (await bring(server, [person("alice", passkeys=[passkey(**more)])])).refused == [(1, "passkeys")]


async def test_too_many_passkeys_or_of_several_handles_are_refused(server: Server) -> None:
    many_keys = [passkey(number) for number in range(1, 22)]
    strange = [passkey(1), passkey(2, user_handle=b64(b"other"))]
    brought = await bring(server, [person("alice", passkeys=many_keys), person("bob", passkeys=strange)])
    assert brought.refused == [(1, "passkeys"), (2, "passkeys")]


async def test_logging_in_by_a_hash_that_came_replaces_it(client: AsyncClient, server: Server) -> None:
    key = pbkdf2_hmac("sha256", api.PASSWORD.encode(), b"seasalt", 1000)
    django = f"pbkdf2_sha256$1000$seasalt${b64encode(key).decode()}"
    row = {"username": "alice", "email": "alice@example.com", "password": django, "is_active": "t", "is_superuser": "f"}
    assert (await bring(server, [row], form="django")).numbers == (1, 0, 0)
    assert {row["password_hash"] for row in await rows_of(server, "users")} == {read_django(django)}
    assert {row["scheme"] for row in await rows_of(server, "hash_schemes")} == {"pbkdf2-sha256/i=1000,l=32"}
    wrong = await client.post("/auth/login", data={"username": "alice", "password": "wrong"})
    assert wrong.status_code == 401
    await api.login(client, "alice")
    assert {row["password_hash"][:7] for row in await rows_of(server, "users")} == {"$2b$04$"}
    await api.login(client, "alice")


def test_an_authenticator_app_of_the_tests_has_twenty_bytes() -> None:
    assert Authenticator(SECRET).secret == SECRET
