"""Two replicas, many at once: one refresh token, one reset link, one name, the last admin, a login against a reset."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checks import longest, untimely
from tests.faults.conftest import Figures
from tests.faults.traffic import Person, Reply, claims_of, id_of, new_password, new_person
from tests.faults.world import World, broken
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.faults
ROUNDS = 15
TRIES = 20
Pair = tuple[ServerProcess, ServerProcess]
Race = Callable[[World, Pair, random.Random], Awaitable[list[str]]]


async def _stagger(chance: random.Random, what: Awaitable[Reply]) -> Reply:
    await asyncio.sleep(chance.uniform(0, 0.01))
    return await what


async def one_refresh_token(world: World, pair: Pair, chance: random.Random) -> list[str]:
    """Strangers spend one token at once: one of them gets a successor, the session ends, its owner is told once."""
    person = await world.traffic.newcomer(pair[0])
    tokens = await world.traffic.tokens(pair[0], person)
    tries = [world.traffic.refresh(pair[n % 2], tokens["refresh_token"], agent=f"stranger {n}") for n in range(TRIES)]
    replies = await asyncio.gather(*(_stagger(chance, each) for each in tries))
    winners = [reply for reply in replies if reply.ok]
    found = [] if len(winners) == 1 else [f"{len(winners)} winners"]
    found += [f"{reply}" for reply in replies if reply.status not in {200, 401}]
    mails = "SELECT count(*) FROM jobs WHERE payload->>'to' = ? AND payload->>'template' = 'signed-out-for-safety'"
    told, noted = world.count(mails, person.email), world.audits(person.id, "session.theft_detected")
    if (told, noted) != (1, 1):
        found.append(f"theft told {told} times, noted {noted} times")
    me = await world.traffic.me(pair[1], tokens["access_token"])
    return found if me.status == 401 else [*found, f"after a theft: {me}"]


async def one_refresh_token_of_one_client(world: World, pair: Pair, chance: random.Random) -> list[str]:
    """A client's many tabs spend one token at once: all get the same successor, and the session goes on."""
    person = await world.traffic.newcomer(pair[0])
    tokens = await world.traffic.tokens(pair[0], person)
    tries = [world.traffic.refresh(pair[n % 2], tokens["refresh_token"]) for n in range(TRIES)]
    replies = await asyncio.gather(*(_stagger(chance, each) for each in tries))
    found = [f"refused: {reply}" for reply in replies if not reply.ok]
    successors = {reply.body["refresh_token"] for reply in replies if reply.ok}
    sid = id_of(claims_of(tokens["access_token"])["sid"])
    generation = world.count("SELECT generation FROM sessions WHERE id = ?", sid)
    return found if (len(successors), generation) == (1, 1) else [*found, f"{len(successors)} successors, gen {generation}"]


async def one_reset_link(world: World, pair: Pair, chance: random.Random) -> list[str]:
    """One link, many new passwords: one of them is it."""
    person = await world.traffic.newcomer(pair[0])
    ticket = await world.mint_ticket(person)
    passwords = [new_password() for _ in range(TRIES // 2)]
    tries = [world.traffic.reset(pair[n % 2], ticket, password) for n, password in enumerate(passwords)]
    replies = await asyncio.gather(*(_stagger(chance, each) for each in tries))
    winners = [password for password, reply in zip(passwords, replies, strict=True) if reply.ok]
    found = [] if len(winners) == 1 else [f"{len(winners)} winners"]
    found += [f"{reply}" for reply in replies if reply.status not in {204, 400}]
    if world.audits(person.id, "user.password.reset") != 1:
        found.append("not noted once")
    login = await world.traffic.login(pair[1], replace(person, password=winners[-1]) if winners else person)
    return found if login.ok else [*found, f"the winner's password: {login}"]


async def one_name(world: World, pair: Pair, chance: random.Random) -> list[str]:
    """Many register one name, in whatever case, or one address: one of them has it."""
    wanted, by_name = new_person(), chance.random() < 0.5
    people = [new_person() for _ in range(TRIES // 2)]
    for person in people:
        if by_name:
            person.username = "".join(chance.choice((c, c.upper())) for c in wanted.username)
        else:
            person.email = wanted.email.title()
    replies = await asyncio.gather(
        *(_stagger(chance, world.traffic.register(pair[n % 2], person)) for n, person in enumerate(people))
    )
    code = "username_taken" if by_name else "email_taken"
    outcomes = Counter("created" if reply.ok else reply.body.get("code") if reply.body else reply.error for reply in replies)
    found = [] if outcomes == {"created": 1, code: len(people) - 1} else [f"outcomes {dict(outcomes)}"]
    column, value = ("username_key", wanted.username) if by_name else ("email_key", wanted.email)
    ids = world.column(f"SELECT id FROM users WHERE {column} = ?", value)
    if len(ids) != 1 or world.audits(ids[0], "user.registered") != 1:
        found.append(f"{len(ids)} rows, or not one audit row")
    return found + untimely(replies)


async def the_last_admin(world: World, pair: Pair, chance: random.Random) -> list[str]:
    """Two admins, the only ones, throw each other (or themselves) out at once: one stays."""
    world.rows("UPDATE users SET role = 'user'")
    admins = [await world.traffic.newcomer(pair[n]) for n in range(2)]
    for admin in admins:
        world.make_admin(admin)
    tokens = [(await world.traffic.tokens(pair[0], admin))["access_token"] for admin in admins]
    each_other = chance.random() < 0.5
    targets = admins[::-1] if each_other else admins
    replies = await asyncio.gather(
        *(_stagger(chance, _throw_out(world, pair[n], targets[n], tokens[n], chance)) for n in range(2))
    )
    left = world.count("SELECT count(*) FROM users WHERE role = 'admin' AND disabled_at IS NULL")
    found = [] if left == 1 else [f"{left} admins left: {replies[0]}, {replies[1]}"]
    return found + [f"{reply}" for reply in replies if reply.status not in {200, 204, 401, 403, 409}]


async def _throw_out(world: World, server: ServerProcess, person: Person, token: str, chance: random.Random) -> Reply:
    ways: list[tuple[str, str, dict[str, Any] | None]] = [
        ("PUT", "/role", {"role": "user"}),
        ("PUT", "/status", {"active": False}),
        ("DELETE", "", None),
    ]
    method, path, body = chance.choice(ways)
    return await world.traffic.send(server, "throw out", method, f"/users/{person.id}{path}", json=body, token=token)


async def login_against_reset(world: World, pair: Pair, chance: random.Random) -> list[str]:
    """Logins by the old password while it is reset: none of them is signed in once the reset is answered."""
    person = await world.traffic.newcomer(pair[0])
    ticket = await world.mint_ticket(person)
    logins = [asyncio.create_task(_stagger(chance, world.traffic.login(pair[n % 2], person))) for n in range(4)]
    await asyncio.sleep(chance.uniform(0, 0.02))
    reset = await world.traffic.reset(pair[0], ticket, new_password())
    found = [] if reset.ok else [f"{reset} {reset.body}"]
    replies = [*await asyncio.gather(*logins), await world.traffic.login(pair[1], person)]
    for login in replies:
        if login.ok:
            me = await world.traffic.me(pair[1], login.body["access_token"])
            found += [] if me.status == 401 else [f"signed in by the old password: {login}, then {me}"]
        elif login.status not in {401, 429, 503}:
            found.append(f"{login}")
    alive = world.count("SELECT count(*) FROM sessions WHERE user_id = ? AND ended_at IS NULL", person.id)
    return [*found, f"{alive} sessions alive"] if alive else found


RACES: dict[str, Race] = {
    "refresh token": one_refresh_token,
    "refresh token of one client": one_refresh_token_of_one_client,
    "reset link": one_reset_link,
    "name": one_name,
    "last admin": the_last_admin,
    "login against reset": login_against_reset,
}


async def run(world: World, race: Race, pair: Pair, *, rounds: int, until_found: bool = False) -> list[str]:
    """So many rounds of a race; what went wrong in them."""
    chance = random.Random(3)
    wrong: list[str] = []
    for number in range(rounds):
        wrong += [f"round {number}: {each}" for each in await race(world, pair, chance)]
        if wrong and until_found:
            break
    return wrong


@pytest.mark.promise("P1", "P2", "P3", "P10")
async def test_every_race_has_one_winner(world: World, figures: Figures) -> None:
    pair = world.pair(BCRYPT_ROUNDS="6")

    wrong = {name: await run(world, race, pair, rounds=ROUNDS) for name, race in RACES.items()}

    assert wrong == {name: [] for name in RACES}
    assert untimely(world.traffic.replies) == []
    figures(races=len(RACES) * ROUNDS, requests=len(world.traffic.replies), longest=longest(world.traffic.replies))


@pytest.mark.promise("P1", "P2", "P3", "P10")
@pytest.mark.parametrize(
    ("race", "launcher"),
    [
        ("refresh token", "rotates_after_looking"),
        ("reset link", "spends_after_looking"),
        ("name", "inserts_after_looking"),
        ("last admin", "counts_admins_without_lock"),
        ("login against reset", "ignores_changes_while_hashing"),
        ("reset link", "audits_twice"),
    ],
)
async def test_control_a_server_that_looks_before_it_acts_is_found(world: World, race: str, launcher: str) -> None:
    pair = world.pair(launcher=broken(launcher), BCRYPT_ROUNDS="6")

    assert await run(world, RACES[race], pair, rounds=ROUNDS, until_found=True) != []
