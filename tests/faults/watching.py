"""Load and health pages, asked for while something is broken."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.faults.checks import untimely, unwell
from tests.faults.traffic import Person, Reply, new_password, new_person
from tests.faults.world import World
from tests.support.servers import ServerProcess

PAGES = {"live": "/health/live", "ready": "/health/ready", "health": "/health/"}
FINE = {
    "me": {200, 503},
    "register": {201, 503},
    "refresh": {200, 503},
    "login": {200, 429, 503},
    "forgot": {202, 503},
    "unknown": {401, 503},
    "wrong password": {401, 429, 503},
}
READY_SECONDS, HEALED_SECONDS = 5.0, 10.0
REPEATED_SECONDS = 8.0  # well within the grace of a repeated refresh


class Watch:
    """Asks for the health pages and keeps some load on, until its `async with` ends."""

    def __init__(self, world: World, server: ServerProcess, seed: int = 5) -> None:
        self.world, self.server, self.traffic = world, server, world.traffic
        self.chance = random.Random(seed)
        self.first = len(self.traffic.replies)
        self.people: list[tuple[Person, dict[str, Any]]] = []
        self.registered: list[Person] = []
        self.found: list[str] = []
        self._over = asyncio.Event()

    @property
    def replies(self) -> list[Reply]:
        """Everything answered since it began."""
        return self.traffic.replies[self.first :]

    @asynccontextmanager
    async def on(self, load: int = 6, only: Sequence[str] = ()) -> AsyncIterator["Watch"]:
        """Watching, with so many people at it without pause; the first of them do only what `only` names, one each."""
        for person in await self.world.newcomers(self.server, load):
            self.people.append((person, await self.traffic.tokens(self.server, person)))
        tasks = [asyncio.create_task(self._look(what)) for what in PAGES]
        tasks += [asyncio.create_task(self._use(number, *only[number : number + 1])) for number in range(load)]
        try:
            yield self
        finally:
            self._over.set()
            await asyncio.gather(*tasks)

    async def _look(self, what: str) -> None:
        while not self._over.is_set():
            await self.traffic.send(self.server, what, "GET", PAGES[what])
            await asyncio.sleep(0.1)

    async def _use(self, number: int, *only: str) -> None:
        person, tokens = self.people[number]
        choices = only or ("me", "me", "register", "refresh", "login", "forgot", "unknown", "wrong")
        unanswered: float | None = None  # since when it is not known what became of a refresh
        while not self._over.is_set():
            what = self.chance.choice(choices)
            if what == "me":
                await self.traffic.me(self.server, tokens["access_token"])
            elif what == "register":
                newcomer = new_person()
                self.registered.append(newcomer)
                await self.traffic.register(self.server, newcomer)
            elif what == "refresh":
                # Its answer may have been lost: the token is then spent, and good for its client for ten more seconds. Later
                # it would be taken for stolen, so this one does as a person would: sign in again.
                spent_since = None if unanswered is None else time.monotonic() - unanswered
                if spent_since is not None and spent_since > REPEATED_SECONDS:
                    reply = await self.traffic.login(self.server, person)
                else:
                    reply = await self.traffic.refresh(self.server, tokens["refresh_token"])
                tokens |= reply.body if reply.ok else {}
                unanswered = None if reply.ok else unanswered or reply.sent
            elif what == "login":
                await self.traffic.login(self.server, person)
            elif what == "unknown":
                await self.traffic.login(self.server, new_person(), new_password(), "unknown")
            elif what == "wrong":
                await self.traffic.login(self.server, person, new_password(), "wrong password")
            else:
                await self.traffic.forgot(self.server, self.chance.choice((person, new_person())).email)
            await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def until(self, condition: Callable[[Reply], bool], what: str, seconds: float) -> list[str]:
        """Wait for a reply to something sent from now on; what is wrong if none comes in time."""
        began = time.monotonic()
        seen = len(self.traffic.replies)
        while time.monotonic() < began + seconds:
            if any(condition(reply) for reply in self.traffic.replies[seen:] if reply.sent > began):
                return []
            await asyncio.sleep(0.02)
        return [f"{what}: not within {seconds} s"]

    async def until_not_ready(self) -> list[str]:
        return await self.until(lambda reply: (reply.what, reply.status) == ("ready", 503), "not ready", READY_SECONDS)

    async def until_healed(self) -> list[str]:
        """Ready again, and work gets done again."""
        found = await self.until(_done("ready"), "ready again", HEALED_SECONDS)
        for what in ("register", "me", "refresh"):
            found += await self.until(_done(what), f"{what} again", HEALED_SECONDS)
        return found

    async def until_answered(self, *statuses: int, seconds: float = 10.0) -> list[str]:
        """Some change was answered so."""
        changes = {"register", "login", "forgot", "refresh"}
        return await self.until(lambda reply: reply.what in changes and reply.status in statuses, f"{statuses}", seconds)

    def wrong(self) -> list[str]:
        """What may not be, however broken everything is."""
        return untimely(self.replies) + unwell(self.replies) + self._refused() + self._lost() + self._told_apart()

    def _refused(self) -> list[str]:
        # Whoever is signed in is never told otherwise: what can't be known is a 503.
        return [f"wrong: {each} {each.body}" for each in self.replies if each.status not in FINE.get(each.what, {each.status})]

    def _lost(self) -> list[str]:
        names = set(self.world.column("SELECT username_key FROM users"))
        audited = self.world.column("SELECT subject_id FROM audit_events WHERE fact = 'user.registered'")
        ids = self.world.column("SELECT id FROM users")
        found = [f"answered and lost: {each.username}" for each in self.registered if each.id and each.username not in names]
        return found if sorted(ids) == sorted(audited) else [*found, f"{len(ids)} users, {len(audited)} registrations audited"]

    def _told_apart(self) -> list[str]:
        # Known and unknown get the same bytes: at login with a wrong password, and from forgot-password.
        found = []
        for whats, status in (({"unknown", "wrong password"}, 401), ({"forgot"}, 202)):
            answers = {str(reply.body) for reply in self.replies if reply.what in whats and reply.status == status}
            found += [f"{len(answers)} different answers to {sorted(whats)}"] if len(answers) > 1 else []
        return found


def _done(what: str) -> Callable[[Reply], bool]:
    return lambda reply: reply.what == what and reply.ok
