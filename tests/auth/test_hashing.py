"""How passwords are kept: schemes, whole passwords, upgrades at login, and one cost for every check.

Work is counted where it is done, in bcrypt and argon2 themselves: bcrypt of cost n is 2^n units.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import select, update

from app.auth.utils import ARGON2_LABEL, PREHASHED, Passwords, Verdict, label_of, stored_prefixes
from app.config import Settings, SettingsError, load_settings
from app.core.server import Server
from app.main import create_app
from app.users import repository
from app.users.models import HashScheme, User
from tests.auth.holding import Gate, TickingClock, pool_of
from tests.support import api
from tests.support.apps import client_of, running
from tests.support.clock import TravellingClock
from tests.support.stacks import settings_env

KEY = b"k" * 32
BCRYPT = Passwords("bcrypt", 4, KEY)
BCRYPT_5 = Passwords("bcrypt", 5, KEY)
BCRYPT_7 = Passwords("bcrypt", 7, KEY)
ARGON2 = Passwords("argon2id", 4, KEY)
SCHEMES = [BCRYPT, ARGON2]
SHORT = "Plain-harbour-71-kettle!"
LONG = SHORT * 5  # 120 code points, more than bcrypt reads
WRONG = "Wrong-harbour-71-kettle!"


def check(passwords: Passwords, password: str, stored: str | None, labels: Iterable[str] = ()) -> Verdict:
    return passwords.check(password, stored, labels, may_upgrade=True)


def right(passwords: Passwords, password: str, stored: str) -> bool:
    return check(passwords, password, stored, [label_of(stored)]).right


def test_a_password_is_right_and_no_other() -> None:
    for password in (SHORT, LONG, "\U0001f98a" * 128, "  kept as it is  ", "\u00e9\u00e9\u00e9\u00e9-\u6f22\u5b57"):
        stored = BCRYPT.hash(password)
        assert password not in stored
        assert right(BCRYPT, password, stored)
        for other in (password + " ", " " + password, password[:-1], password.swapcase() + "x", "", password * 2):
            assert not right(BCRYPT, other, stored), ascii(other)


@pytest.mark.asvs("V11.4.2")
def test_hashes_are_salted_and_of_the_scheme_and_cost_set() -> None:
    assert BCRYPT.hash(SHORT) != BCRYPT.hash(SHORT)
    assert BCRYPT.hash(SHORT).startswith("$2b$04$")
    assert BCRYPT_7.hash(SHORT).startswith("$2b$07$")
    assert ARGON2.hash(SHORT) != ARGON2.hash(SHORT)
    assert ARGON2.hash(SHORT).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert max(len(passwords.hash(LONG)) for passwords in SCHEMES) <= 255  # as the column


@pytest.mark.asvs("V11.4.2")
def test_the_default_cost_is_twelve_and_production_takes_no_less_than_ten() -> None:
    env = settings_env("sqlite:///x.db")
    del env["BCRYPT_ROUNDS"]
    settings = load_settings(env, env_file=None)
    assert (settings.BCRYPT_ROUNDS, settings.PASSWORD_HASH) == (12, "bcrypt")
    production = env | {"ENVIRONMENT": "production"}
    assert load_settings(production | {"BCRYPT_ROUNDS": "10"}, env_file=None).BCRYPT_ROUNDS == 10
    with pytest.raises(SettingsError, match="BCRYPT_ROUNDS"):
        load_settings(production | {"BCRYPT_ROUNDS": "9"}, env_file=None)


@pytest.mark.asvs("V6.2.8", "V11.4.2")
@pytest.mark.parametrize("common", ["x" * 72, "\U0001f98a" * 18, "\u00e9" * 36, "x" * 71], ids=["72", "foxes", "accents", "71"])
def test_passwords_equal_in_their_first_72_bytes_differ(common: str) -> None:
    endings = ["", "y", "z", "yz", "y" * 40, "\u00e9"]
    for ending in endings:
        stored = BCRYPT.hash(common + ending)
        assert [other for other in endings if right(BCRYPT, common + other, stored)] == [ending]


@pytest.mark.asvs("V6.2.8")
def test_argon2_reads_it_all() -> None:
    stored = ARGON2.hash("x" * 72 + "y")
    assert [ending for ending in ("", "y", "z") if right(ARGON2, "x" * 72 + ending, stored)] == ["y"]


def test_up_to_72_bytes_it_is_plain_bcrypt_and_beyond_a_marked_scheme() -> None:
    for password, marked in (("x" * 72, False), ("x" * 73, True), ("\U0001f98a" * 18, False), ("\U0001f98a" * 19, True)):
        stored = BCRYPT.hash(password)
        assert stored.startswith(PREHASHED) == marked
        assert label_of(stored) == "bcrypt/04"
    plain = BCRYPT.hash("x" * 72)
    assert bcrypt.checkpw(b"x" * 72, plain.encode())  # as any other program would check it


def test_the_pre_hash_needs_our_key() -> None:
    stored = BCRYPT.hash(LONG)
    assert not right(Passwords("bcrypt", 4, b"o" * 32), LONG, stored)
    bare = stored.removeprefix(PREHASHED)
    assert not right(BCRYPT, LONG, bare)  # the mark decides how it is read


@pytest.mark.parametrize("passwords", SCHEMES)
def test_composed_and_decomposed_are_one_password(passwords: Passwords) -> None:
    for composed, decomposed in (
        ("Caf\u00e9-Ren\u00e9", "Cafe\u0301-Rene\u0301"),
        ("\u00e9" * 40, "e\u0301" * 40),
        ("\uac00!", "\u1100\u1161!"),
    ):
        assert right(passwords, decomposed, passwords.hash(composed))
        assert right(passwords, composed, passwords.hash(decomposed))
    assert not right(passwords, "\ufb01-kept-as-it-is", passwords.hash("fi-kept-as-it-is"))  # NFC, not NFKC


def test_a_hash_that_is_none_is_wrong_and_no_crash() -> None:
    broken = ["", "x", "$2b$", "$2b$04$short", "$2b$99$" + "a" * 53, "$argon2id$v=19$m=1,t=1,p=1$x$y", PREHASHED, PREHASHED + "x"]
    for stored in broken:
        assert check(BCRYPT, SHORT, stored) == Verdict(False), stored


def test_another_scheme_or_cost_is_upgraded_when_right_and_only_then() -> None:
    for old, new in product([BCRYPT, BCRYPT_5, ARGON2], repeat=2):
        for password in (SHORT, LONG):
            stored = old.hash(password)
            assert check(new, WRONG, stored, [old.label]) == Verdict(False)
            verdict = check(new, password, stored, [old.label])
            assert verdict.right
            if old is new:
                assert verdict.upgraded is None
                continue
            assert verdict.upgraded is not None
            assert label_of(verdict.upgraded) == new.label
            assert check(new, password, verdict.upgraded, []) == Verdict(True)


def test_stored_prefixes_find_the_hashes_of_a_scheme() -> None:
    everything = [passwords.hash(password) for passwords in (BCRYPT, BCRYPT_5, ARGON2) for password in (SHORT, LONG)]
    for label in (BCRYPT.label, BCRYPT_5.label, ARGON2_LABEL):
        found = [stored for stored in everything if stored.startswith(stored_prefixes(label))]
        assert found == [stored for stored in everything if label_of(stored) == label]
        assert len(found) == 2


# Equal work.


@pytest.fixture
def clock() -> TravellingClock:
    """Waits are over when the test says so, however slow the machine."""
    return TickingClock()


@dataclass
class Work:
    """What bcrypt and argon2 were asked to do."""

    bcrypt_units: int = 0
    argon2: Counter[tuple[int, int, int]] = field(default_factory=Counter)

    def note_bcrypt(self, salt: bytes) -> None:
        self.bcrypt_units += 1 << int(salt[4:6])

    def note_argon2(self, hasher: PasswordHasher) -> None:
        self.argon2[hasher.memory_cost, hasher.time_cost, hasher.parallelism] += 1

    def take(self) -> "Work":
        """What was done since the last time."""
        taken = Work(self.bcrypt_units, self.argon2)
        self.bcrypt_units, self.argon2 = 0, Counter()
        return taken


@pytest.fixture
def work_done(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Counts bcrypt and argon2 work from here on."""
    work = Work()

    def watch(owner: Any, name: str, note: Callable[..., None]) -> None:
        real = getattr(owner, name)

        def watched(*args: Any, **more: Any) -> Any:
            note(*args)
            return real(*args, **more)

        monkeypatch.setattr(owner, name, watched)

    watch(bcrypt, "hashpw", lambda _password, salt: work.note_bcrypt(salt))
    watch(bcrypt, "checkpw", lambda _password, stored: work.note_bcrypt(stored))
    watch(PasswordHasher, "hash", lambda hasher, *_: work.note_argon2(hasher))
    watch(PasswordHasher, "verify", lambda hasher, *_: work.note_argon2(hasher))
    return work


def stored_by(*schemes: Passwords) -> Iterator[str | None]:
    """Hashes of short and long passwords of each scheme, and none."""
    yield None
    for passwords, password in product(schemes, (SHORT, LONG)):
        yield passwords.hash(password)


@pytest.mark.promise("P8")
@pytest.mark.asvs("V6.3.8")
@pytest.mark.parametrize("password", [WRONG, WRONG * 5])
@pytest.mark.parametrize(
    "schemes",
    [[BCRYPT], [BCRYPT, BCRYPT_5], [BCRYPT_7, BCRYPT], [ARGON2], [BCRYPT, ARGON2], [ARGON2, BCRYPT_7, BCRYPT_5, BCRYPT]],
)
def test_a_check_costs_the_same_whoever_it_is_for(work_done: Work, schemes: list[Passwords], password: str) -> None:
    now = schemes[0]
    seen = []
    for stored in list(stored_by(*schemes)):
        work_done.take()
        assert not check(now, password, stored, [scheme.label for scheme in schemes]).right
        seen.append(work_done.take())
    assert seen == [seen[0]] * len(seen)
    dearest = max((1 << scheme._bcrypt.rounds for scheme in schemes if scheme is not ARGON2), default=0)
    assert (seen[0].bcrypt_units, seen[0].argon2.total()) == (dearest, int(ARGON2 in schemes))


def test_a_right_password_costs_what_a_wrong_one_costs(work_done: Work) -> None:
    for own, others in ((BCRYPT, [ARGON2, BCRYPT_7]), (ARGON2, [BCRYPT_5]), (BCRYPT_7, [BCRYPT])):
        labels = [own.label, *(other.label for other in others)]
        for password in (SHORT, LONG):
            stored = own.hash(password)
            work_done.take()
            assert check(own, password, stored, labels) == Verdict(True)
            as_right = work_done.take()
            assert check(own, WRONG, stored, labels) == Verdict(False)
            assert as_right == work_done.take()


def test_control_an_early_return_for_the_unknown_is_noticed(work_done: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.auth.utils.even_out", lambda *_: None)
    monkeypatch.setattr(BCRYPT, "_decoy", "")
    stored = BCRYPT.hash(SHORT)
    work_done.take()
    check(BCRYPT, WRONG, None, [])
    unknown = work_done.take()
    check(BCRYPT, WRONG, stored, [])
    assert unknown != work_done.take()


# Through the server.


@asynccontextmanager
async def restarted(env: dict[str, str], clock: Any, **changes: str) -> AsyncIterator[tuple[FastAPI, AsyncClient]]:
    """The server of the same database and keys with other settings."""
    settings: Settings = load_settings(env | changes, env_file=None)
    async with running(create_app(settings, clock=clock)) as app, client_of(app) as client:
        yield app, client


async def hash_of(server: Server, username: str) -> str:
    async with server.database.read() as db:
        stored = await db.scalar(select(User.password_hash).where(User.username == username))
    assert stored
    return stored


async def try_login(client: AsyncClient, username: str, password: str) -> Response:
    client.cookies.clear()
    return await client.post("/auth/login", json={"username": username, "password": password})


@pytest.mark.parametrize("changes", [{"BCRYPT_ROUNDS": "5"}, {"PASSWORD_HASH": "argon2id"}], ids=str)
@pytest.mark.parametrize("password", [SHORT, LONG], ids=["short", "long"])
async def test_a_login_after_a_change_of_scheme_stores_a_new_hash(
    app: FastAPI, server: Server, client: AsyncClient, env: dict[str, str], clock: Any, changes: dict[str, str], password: str
) -> None:
    await api.register(client, "alice", password=password)
    tokens = await api.login(client, "alice", password)
    old = await hash_of(server, "alice")
    async with restarted(env, clock, **changes) as (_, later):
        assert (await try_login(later, "alice", WRONG)).status_code == 401
        assert await hash_of(server, "alice") == old
        assert (await try_login(later, "alice", password)).status_code == 200
        new = await hash_of(server, "alice")
        assert label_of(new) == {"BCRYPT_ROUNDS": "bcrypt/05", "PASSWORD_HASH": ARGON2_LABEL}[next(iter(changes))]
        assert (await try_login(later, "alice", password)).status_code == 200
        assert await hash_of(server, "alice") == new  # once is enough
        assert (await later.get("/auth/me", headers=api.bearer(tokens))).status_code == 200  # it ends no session
        async with server.database.read() as db:
            assert set(await db.scalars(select(HashScheme.scheme))) == {"bcrypt/04", label_of(new)}
    assert (await try_login(client, "alice", password)).status_code == 200  # and back
    assert label_of(await hash_of(server, "alice")) == "bcrypt/04"


async def upgraded_beside_another(
    app: FastAPI, server: Server, client: AsyncClient, env: dict[str, str], clock: Any
) -> tuple[str, str]:
    """A login that upgrades the hash while another changes it; the other's hash, and what is stored in the end."""
    await api.register(client, "alice")
    other = BCRYPT_5.hash(api.PASSWORD)
    gate = Gate()
    async with restarted(env, clock, BCRYPT_ROUNDS="6") as (app_now, later):
        server_now: Server = app_now.state.server
        async with pool_of(server_now, after=gate):
            under_way = asyncio.create_task(try_login(later, "alice", api.PASSWORD))
            await gate.reached.wait()
            async with server.database.write() as db:  # as a login on another replica would
                await db.execute(update(User).where(User.username == "alice").values(password_hash=other))
            gate.opened.set()
            assert (await under_way).status_code == 200
    return other, await hash_of(server, "alice")


@pytest.mark.asvs("V15.4.2")
async def test_an_upgrade_replaces_the_hash_that_was_verified_and_no_other(
    app: FastAPI, server: Server, client: AsyncClient, env: dict[str, str], clock: Any
) -> None:
    other, stored = await upgraded_beside_another(app, server, client, env, clock)
    assert stored == other


async def test_control_an_upgrade_that_compares_nothing_is_noticed(
    app: FastAPI, server: Server, client: AsyncClient, env: dict[str, str], clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def replace_hash(db: Any, user_id: Any, verified: str, upgraded: str) -> None:
        await repository.update_user(db, user_id, password_hash=upgraded)

    monkeypatch.setattr(repository, "replace_hash", replace_hash)
    other, stored = await upgraded_beside_another(app, server, client, env, clock)
    assert stored != other


@pytest.mark.promise("P8")
@pytest.mark.asvs("V6.3.8")
async def test_every_login_refused_costs_the_same_after_a_change_of_scheme(
    app: FastAPI, server: Server, client: AsyncClient, env: dict[str, str], clock: Any, work_done: Work
) -> None:
    admin = await api.new_admin(app, client)
    disabled = await api.register(client, "bob")
    answer = await client.put(f"/users/{disabled['id']}/status", json={"active": False}, headers=admin.headers)
    assert answer.status_code == 200
    await api.register(client, "alice")
    await api.register(client, "carol", password=LONG)
    async with restarted(env, clock, BCRYPT_ROUNDS="6") as (_, later):
        await api.register(later, "dave")
        tries = [("nobody", WRONG), ("alice", WRONG), ("alice", LONG), ("carol", WRONG), ("dave", WRONG), ("dave", LONG)]
        tries += [("bob", WRONG), ("bob", api.PASSWORD)]
        seen = {}
        for name, password in tries:
            work_done.take()
            assert (await try_login(later, name, password)).status_code == 401
            seen[name, password[:12]] = work_done.take()
    assert {attempt: work.bcrypt_units for attempt, work in seen.items()} == dict.fromkeys(seen, 64)


@pytest.mark.promise("P8")
async def test_a_stopped_account_costs_the_same_for_the_right_password(
    app: FastAPI, server: Server, client: AsyncClient, env: dict[str, str], clock: Any, work_done: Work
) -> None:
    await api.register(client, "alice")
    for number in range(50):
        assert (await try_login(client, "alice", WRONG)).status_code == 401, number
        clock.advance(seconds=901 if number > 3 else 0)
    async with restarted(env, clock, BCRYPT_ROUNDS="6") as (_, later):
        seen = []
        for password in (WRONG, api.PASSWORD, WRONG):
            work_done.take()
            assert (await try_login(later, "alice", password)).status_code == 401
            seen.append(work_done.take())
            clock.advance(seconds=901)
    assert seen == [seen[0]] * 3


async def test_schemes_nobody_uses_any_more_are_forgotten_daily(
    app: FastAPI, server: Server, client: AsyncClient, env: dict[str, str], clock: Any
) -> None:
    from app.auth.jobs import ForgetSchemes

    async def tidied(label: str) -> set[str]:
        async with server.database.write() as db:
            await ForgetSchemes(label).tidy(db, clock())
        async with server.database.read() as db:
            return set(await db.scalars(select(HashScheme.scheme)))

    await api.register(client, "alice")
    await api.register(client, "bob", password=LONG)
    async with restarted(env, clock, BCRYPT_ROUNDS="5") as (_, later):
        await api.login(later, "alice")
        assert await tidied("bcrypt/05") == {"bcrypt/04", "bcrypt/05"}  # bob's
        await api.login(later, "bob", LONG)
        assert await tidied("bcrypt/05") == {"bcrypt/05"}


@pytest.mark.env(PASSWORD_HASH="argon2id")
@pytest.mark.asvs("V6.2.8", "V6.2.9")
async def test_argon2id_by_setting(client: AsyncClient, server: Server) -> None:
    await api.register(client, "alice", password=LONG)
    assert (await hash_of(server, "alice")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await api.login(client, "alice", LONG)
    assert (await try_login(client, "alice", LONG[:-1])).status_code == 401


@pytest.mark.asvs("V6.2.8", "V6.2.9")
async def test_long_and_unicode_passwords_through_the_server(client: AsyncClient) -> None:
    foxes = "\U0001f98a" * 64  # 256 bytes
    await api.register(client, "alice", password=foxes)
    await api.login(client, "alice", foxes)
    for near in ("\U0001f98a" * 18, "\U0001f98a" * 63, "\U0001f98a" * 65, "\U0001f98a" * 63 + "\U0001f98b"):
        assert (await try_login(client, "alice", near)).status_code == 401
        await api.login(client, "alice", foxes)
    await api.register(client, "bob", password="Cafe\u0301 noir " * 7)
    await api.login(client, "bob", "Caf\u00e9 noir " * 7)
