"""kill -9 at seeded moments, with registrations, resets, refreshes and logouts in flight: what was answered is never lost,
what was not answered is all there or not there at all.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from tests.faults.checks import untimely
from tests.faults.conftest import Figures
from tests.faults.traffic import Person, Reply, claims_of, id_of, new_password, new_person
from tests.faults.world import QUICK, World, broken
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.faults
KILLS = 32
LONGEST_FUSE = 0.02  # seconds from the answer that lights it to the kill
OPERATIONS = ("register", "reset", "refresh", "logout")


@dataclass(eq=False)
class Chain:
    """A session that is refreshed again and again."""

    sid: str
    token: str
    successors: dict[int, set[str]] = field(default_factory=dict)  # generation presented -> the refresh tokens got for it

    def got(self, presented: str, successor: str) -> None:
        self.successors.setdefault(claims_of(presented)["gen"], set()).add(successor)
        self.token = successor


class Story:
    """What was asked in the face of the kills, and what must be true of it."""

    def __init__(self, world: World, server: ServerProcess) -> None:
        self.world, self.server, self.traffic = world, server, world.traffic
        self.outcomes: dict[str, Counter[str]] = {name: Counter() for name in OPERATIONS}
        self.wrong: list[str] = []
        self.resetters: list[Person] = []
        self.chains: list[Chain] = []

    async def begin(self) -> None:
        self.resetters = await self.world.newcomers(self.server, 4)
        self.leaver = await self.traffic.newcomer(self.server)
        # Nobody is killed yet: a server that commits late, as a control does, gets the time for it.
        for person in [*self.resetters, self.leaver]:
            there = partial(self.world.column, "SELECT id FROM users WHERE username = ?", person.username)
            await asyncio.to_thread(wait_until, there, f"the row of {person.username}")
        for person in self.resetters[:2]:
            tokens = await self.traffic.tokens(self.server, person)
            self.chains.append(Chain(id_of(claims_of(tokens["access_token"])["sid"]), tokens["refresh_token"]))
        # These two never reset, so that their sessions go on.
        self.resetters = self.resetters[2:]

    async def prepare(self) -> list["Part"]:
        """Everything that will be in flight; each part can be sent, and checked once the server is back."""
        parts: list[Part] = [_Register(self, new_person()) for _ in range(3)]
        for person in self.resetters:
            tokens = await self.traffic.tokens(self.server, person)
            parts.append(_Reset(self, person, await self.world.mint_ticket(person), tokens["access_token"]))
        parts += [_Refresh(self, chain) for chain in self.chains]
        parts += [_Logout(self, await self.traffic.tokens(self.server, self.leaver), by_access=by) for by in (True, False)]
        return parts

    def note(self, what: str, reply: Reply, done: bool) -> list[str]:
        """Count how it went; an answer that is neither yes nor "not now" is wrong, and so is a yes that did not happen."""
        self.outcomes[what]["answered" if reply.ok else "unanswered, done" if done else "unanswered, not done"] += 1
        if reply.ok and not done:
            return [f"answered and lost: {reply}"]
        return [] if reply.ok or reply.status in {None, 503} else [f"refused: {reply} {reply.body}"]

    def final(self) -> list[str]:
        """What must be true of the rows at the end."""
        found = []
        users = Counter(self.world.column("SELECT id FROM users"))
        audited = Counter(self.world.column("SELECT subject_id FROM audit_events WHERE fact = 'user.registered'"))
        if users != audited:
            found.append(f"{len(users)} users, {audited.total()} audit rows of registrations")
        if self.world.column("SELECT scheme FROM hash_schemes") != ["bcrypt/04"]:
            found.append("no note of the scheme that hashes are stored in")
        for person in self.resetters:
            spent = "SELECT count(*) FROM tickets WHERE subject_id = ? AND spent_at IS NOT NULL"
            counts = {
                "spent": self.world.count(spent, person.id),
                "epoch": self.world.count("SELECT epoch FROM users WHERE id = ?", person.id),
                "audited": self.world.audits(person.id, "user.password.reset"),
                "mails": self._mails_to(person),
            }
            if len(set(counts.values())) != 1:
                found.append(f"resets in pieces: {counts}")
        for chain in self.chains:
            found += [f"{len(got)} successors of generation {gen}" for gen, got in chain.successors.items() if len(got) != 1]
        return found

    def _mails_to(self, person: Person) -> int:
        payload = "payload->>'to' = ? AND payload->>'template' = 'password-changed'"
        return self.world.count(f"SELECT count(*) FROM jobs WHERE kind = 'mail' AND {payload}", person.email)


@dataclass(eq=False)
class _Register:
    story: Story
    person: Person

    async def send(self) -> Reply:
        return await self.story.traffic.register(self.story.server, self.person)

    async def check(self, reply: Reply) -> list[str]:
        story, person = self.story, self.person
        ids = story.world.column("SELECT id FROM users WHERE username_key = ?", person.username)
        found = story.note("register", reply, bool(ids))
        if len(ids) == 1 and story.world.audits(ids[0], "user.registered") != 1:
            found.append(f"registered without its audit row: {reply}")
        again = await story.traffic.register(story.server, person)
        if again.status != (409 if ids else 201):
            found.append(f"asked again: {again}, although {len(ids)} such users")
        login = await story.traffic.login(story.server, person)
        return found if login.ok else [*found, f"registered, but can't log in: {login}"]


@dataclass(eq=False)
class _Reset:
    story: Story
    person: Person
    ticket: str
    access_token: str
    password: str = field(default_factory=new_password)

    async def send(self) -> Reply:
        return await self.story.traffic.reset(self.story.server, self.ticket, self.password)

    async def check(self, reply: Reply) -> list[str]:
        story, person = self.story, self.person
        query = "SELECT count(*) FROM tickets WHERE subject_id = ? AND spent_at IS NULL AND voided_at IS NULL"
        done = story.world.count(query, person.id) == 0
        found = story.note("reset", reply, done)
        me = await story.traffic.me(story.server, self.access_token)
        if me.status != (401 if done else 200):
            found.append(f"reset is {done}, but its owner's old session: {me}")
        old, new = person.password, self.password
        login = await story.traffic.login(story.server, person, new if done else old)
        if not login.ok:
            found.append(f"reset is {done}, but: {login}")
        person.password = new if done else old
        return found


@dataclass(eq=False)
class _Refresh:
    story: Story
    chain: Chain

    async def send(self) -> Reply:
        return await self.story.traffic.refresh(self.story.server, self.chain.token)

    async def check(self, reply: Reply) -> list[str]:
        story, chain, presented = self.story, self.chain, self.chain.token
        query = "SELECT generation FROM sessions WHERE id = ?"
        found = story.note("refresh", reply, story.world.count(query, chain.sid) > claims_of(presented)["gen"])
        if reply.ok:
            chain.got(presented, reply.body["refresh_token"])
        again = await story.traffic.refresh(story.server, presented)
        if not again.ok:
            return [*found, f"the same token again, within the grace: {again}"]
        chain.got(presented, again.body["refresh_token"])
        me = await story.traffic.me(story.server, again.body["access_token"])
        return found if me.ok else [*found, f"refreshed, but: {me}"]


@dataclass(eq=False)
class _Logout:
    story: Story
    tokens: dict[str, Any]
    by_access: bool

    async def send(self) -> Reply:
        if self.by_access:
            return await self.story.traffic.logout(self.story.server, token=self.tokens["access_token"])
        return await self.story.traffic.logout(self.story.server, refresh_token=self.tokens["refresh_token"])

    async def check(self, reply: Reply) -> list[str]:
        story, tokens = self.story, self.tokens
        sid = id_of(claims_of(tokens["access_token"])["sid"])
        ended = story.world.is_ended(sid)
        found = story.note("logout", reply, ended)
        query = "SELECT count(*) FROM audit_events WHERE session_id = ? AND fact = 'session.ended'"
        if story.world.count(query, sid) != int(ended):
            found.append(f"ended is {ended}, but the audit log says otherwise: {reply}")
        me = await story.traffic.me(story.server, tokens["access_token"])
        if me.status != (401 if ended else 200):
            found.append(f"ended is {ended}, but: {me}")
        if ended and (refresh := await story.traffic.refresh(story.server, tokens["refresh_token"])).status != 401:
            found.append(f"logged out, but: {refresh}")
        return found


Part = _Register | _Reset | _Refresh | _Logout


async def killed_again_and_again(world: World, launcher: Any, *, seed: int, kills: int, until: str = "") -> Story:
    """Kill the server with all four operations in flight, so often, or until this is wrong; what is wrong is in `wrong`."""
    chance = random.Random(seed)
    server = world.serve(launcher=launcher, QUICK_RESTARTS="1")
    story = Story(world, server)
    await story.begin()
    for _ in range(kills):
        parts = await story.prepare()
        chance.shuffle(parts)
        sent = [asyncio.create_task(part.send()) for part in parts]
        await _answers(sent, chance.randrange(len(sent)))
        await asyncio.sleep(chance.uniform(0, LONGEST_FUSE))
        killed = world.kill_child(server)
        replies = await asyncio.gather(*sent)
        await world.ready_again(server, killed)
        for part, reply in zip(parts, replies, strict=True):
            story.wrong += await part.check(reply)
        if until and any(until in each for each in story.wrong):
            return story
    story.wrong += story.final()
    return story


async def _answers(tasks: list[asyncio.Task[Reply]], count: int) -> None:
    """Wait until so many are answered: the moments of the kills are spread over the operations, however slow the machine."""
    while sum(task.done() for task in tasks) < count:
        await asyncio.wait([task for task in tasks if not task.done()], return_when=asyncio.FIRST_COMPLETED)


@pytest.mark.promise("P1", "P2", "P3", "P10")
async def test_nothing_answered_is_lost_and_nothing_unanswered_is_half_done(world: World, figures: Figures) -> None:
    story = await killed_again_and_again(world, QUICK, seed=1, kills=KILLS)

    assert story.wrong == []
    for name, outcomes in story.outcomes.items():
        assert outcomes["answered"] >= 3, f"{name}: killed too early to show anything"
        assert outcomes.total() - outcomes["answered"] >= 3, f"{name}: killed too late to show anything"
    assert untimely(world.traffic.replies, unanswered=True) == []
    figures(kills=KILLS, **{name: dict(outcomes) for name, outcomes in story.outcomes.items()})


@pytest.mark.promise("P1", "P2", "P3")
async def test_control_an_answer_before_its_commit_is_found(world: World) -> None:
    launcher = broken("answers_before_commit")
    story = await killed_again_and_again(world, launcher, seed=1, kills=KILLS, until="answered and lost")

    assert any("answered and lost" in each for each in story.wrong), story.wrong


@pytest.mark.promise("P1", "P10")
async def test_control_a_change_committed_in_pieces_is_found(world: World) -> None:
    launcher = broken("commits_in_pieces")
    story = await killed_again_and_again(world, launcher, seed=1, kills=KILLS, until="audit")

    assert any("audit" in each for each in story.wrong), story.wrong
