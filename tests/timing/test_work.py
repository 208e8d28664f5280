"""Every refused login hashes as much as every other: counted, not timed.

Work at bcrypt is 2 to the cost; the sum over a refusal is the same whether there is an account or not, whatever its state, the
scheme of its hash and the password typed. Argon2id's are counted.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import argon2
import bcrypt
import pytest
from httpx2 import AsyncClient
from sqlalchemy import insert, update

from app.auth import service as auth
from app.auth.deps import AuthKit
from app.auth.models import LoginFailure
from app.auth.service import STOP_AT
from app.auth.utils import Passwords, Verdict, label_of
from app.core.server import Server
from app.users.models import HashScheme, User
from bench.accounts import PASSWORD, WRONG, stored
from tests.support import api

LONG = "Plain-harbour-71-kettle! " * 4  # beyond the 72 bytes that bcrypt itself takes
SCHEMES = ("bcrypt/05", "bcrypt/06", "bcrypt/07", "argon2id")  # the server's own is bcrypt/06

pytestmark = [pytest.mark.promise("P8"), pytest.mark.env(BCRYPT_ROUNDS="6")]


class Work:
    """What was hashed."""

    def __init__(self) -> None:
        self.bcrypt = 0
        self.argon2 = 0

    def take(self) -> tuple[int, int]:
        """The sums, which begin anew."""
        found = self.bcrypt, self.argon2
        self.bcrypt = self.argon2 = 0
        return found


@pytest.fixture
def work_done(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()

    def counting_bcrypt(real: Callable[[bytes, bytes], Any]) -> Callable[[bytes, bytes], Any]:
        def counted(password: bytes, salt_or_hash: bytes) -> Any:
            work.bcrypt += 2 ** int(salt_or_hash[4:6])
            return real(password, salt_or_hash)

        return counted

    def counting_argon2(real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            work.argon2 += 1
            return real(*args, **more)

        return counted

    monkeypatch.setattr(bcrypt, "hashpw", counting_bcrypt(bcrypt.hashpw))
    monkeypatch.setattr(bcrypt, "checkpw", counting_bcrypt(bcrypt.checkpw))
    for name in ("hash", "verify"):
        monkeypatch.setattr(argon2.PasswordHasher, name, counting_argon2(getattr(argon2.PasswordHasher, name)))
    return work


async def account(client: AsyncClient, server: Server, password_hash: str, state: str) -> str:
    """The name of a new account whose stored hash is this one."""
    name = str((await api.register(client))["username"])
    now = server.clock()
    async with server.database.write() as db:
        changes: dict[str, Any] = {"password_hash": password_hash}
        if state == "disabled":
            changes["disabled_at"] = datetime.now(UTC)
        if state == "left for good":
            changes["leaving_at"] = datetime.now(UTC) - timedelta(days=8)
        user_id = await db.scalar(update(User).where(User.username == name).values(**changes).returning(User.id))
        assert user_id is not None
        if state == "stopped":
            lane = auth.account_lane_of(server.kit(AuthKit), user_id)
            failures = {"key": lane, "failures": STOP_AT, "told_at": now, "next_at": now, "forget_at": now + timedelta(days=1)}
            await db.execute(insert(LoginFailure).values(failures))
    return name


@pytest.fixture
async def mixed(client: AsyncClient, server: Server) -> dict[str, str]:
    """A hash of each scheme, as they are side by side in a database that has changed its settings; each is known to be in use."""
    await api.register(client)  # the server's own
    hashes = {scheme: stored(scheme) for scheme in SCHEMES}
    async with server.database.write() as db:
        for label in {label_of(each) for each in hashes.values()}:
            if await db.get(HashScheme, label) is None:
                await db.execute(insert(HashScheme).values(scheme=label))
    return hashes | {"pre-hashed": server.kit(AuthKit).passwords.hash(LONG)}


async def refused(client: AsyncClient, name: str, password: str) -> None:
    answer = await client.post("/auth/login", json={"username": name, "password": password})
    assert answer.status_code == 401, answer.text


@pytest.mark.parametrize("state", ["active", "disabled", "stopped", "left for good"])
async def test_every_refusal_costs_the_same(
    state: str, client: AsyncClient, server: Server, mixed: dict[str, str], work_done: Work
) -> None:
    await refused(client, "nobody1", WRONG)
    for_nobody = work_done.take()
    assert for_nobody == (2**7, 1), "as the dearest bcrypt in use, and as Argon2id"
    await refused(client, "nobody2", LONG)
    assert work_done.take() == for_nobody
    for scheme, password_hash in mixed.items():
        name = await account(client, server, password_hash, state)
        work_done.take()
        right = LONG if scheme == "pre-hashed" else PASSWORD
        for typed in [WRONG, LONG + "?", *([right] if state != "active" else [])]:
            await refused(client, name, typed)
            assert work_done.take() == for_nobody, (scheme, typed)


async def test_a_database_with_one_scheme_pays_for_one(client: AsyncClient, server: Server, work_done: Work) -> None:
    name = str((await api.register(client))["username"])
    work_done.take()
    for who in (name, "nobody1"):
        await refused(client, who, WRONG)
        assert work_done.take() == (2**6, 0)


@pytest.mark.env(PASSWORD_HASH="argon2id")
async def test_it_costs_the_same_where_argon2id_is_the_scheme(
    client: AsyncClient, server: Server, mixed: dict[str, str], work_done: Work
) -> None:
    await refused(client, "nobody1", WRONG)
    for_nobody = work_done.take()
    for password_hash in mixed.values():
        name = await account(client, server, password_hash, "active")
        work_done.take()
        await refused(client, name, WRONG)
        assert work_done.take() == for_nobody


async def test_a_server_that_hashes_only_for_accounts_is_found_out(
    client: AsyncClient, work_done: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the dummy hash, the sums differ."""
    careful = Passwords.check

    def hasty(self: Passwords, password: str, stored: str | None, *args: Any, **more: Any) -> Verdict:
        return careful(self, password, stored, *args, **more) if stored else Verdict(right=False)

    monkeypatch.setattr(Passwords, "check", hasty)
    name = str((await api.register(client))["username"])
    work_done.take()
    await refused(client, name, WRONG)
    of_known = work_done.take()
    await refused(client, "nobody1", WRONG)
    assert work_done.take() != of_known
