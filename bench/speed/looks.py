"""A database with a million users and a long log, and an admin who looks at it: pages of the console, and the API."""

import http.client
import time
from dataclasses import dataclass, replace
from http.cookies import SimpleCookie
from typing import Any

import psycopg

from app.core.cookies import CONSOLE, SESSION, Cookies, new_session_cookie
from app.core.crypto import derive_key, digest
from app.core.paging import write_cursor
from bench.speed.cores import on
from bench.speed.events import Plan, fill_log
from bench.speed.populations import Size, admin_seat, check_room, fill, rows_in
from bench.speed.run import Bench
from bench.speed.seeds import moment
from bench.speed.stand import Home
from bench.speed.wrk import UnmeasuredError
from tests.support.servers import ServerProcess

REDIS_DB = 3
BYTES_PER_EVENT = 900  # with its indexes and the log of writing them
PEOPLE_PER_EVENT = BYTES_PER_EVENT / 8_000  # check_room counts in people with ten sessions each
BUSIEST, USUAL = 1, 2  # of the accounts at hand
COOKIES = Cookies(https=True)
# A few are disabled, fewer are staff.
VARIETY = """
UPDATE users SET
  disabled_at = CASE WHEN n %% 500 = 0 THEN now() END,
  role = CASE WHEN n %% 50000 = 7 THEN 'support' ELSE role END
FROM (SELECT id AS number_of, row_number() OVER (ORDER BY id) AS n FROM users) AS numbered
WHERE id = number_of AND (n %% 500 = 0 OR n %% 50000 = 7) AND role = 'user'
"""
PROVE = "UPDATE sessions SET authenticated_at = now(), cookie_digest = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Large:
    """The database, and what is in its log."""

    home: Home
    log: Plan


def large(bench: Bench) -> Large:
    """The database, filled by the first case that asks."""
    if "large" not in bench.stand.kept:
        users, events = bench.sizes.scale_users, bench.sizes.events
        check_room(bench.stand, users + int(events * PEOPLE_PER_EVENT))
        bench.screen.say(f"filling a database with {users:,} users")
        home = fill(bench.stand, REDIS_DB, Size(users, 0))
        with psycopg.connect(home.env["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(VARIETY, [])
            people = [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id").fetchall()]
        bench.screen.say(f"filling its log with {events:,} events")
        admin, busiest = home.crowd.accounts[0].id, home.crowd.accounts[BUSIEST].id
        with on(bench.stand.cores.both):
            log = fill_log(home.crowd.settings, events, people, admin, busiest)
        bench.stand.kept["large"] = Large(home, log)
    found: Large = bench.stand.kept["large"]
    return found


def counts(home: Home) -> dict[str, int]:
    """How many people and events there are, counted."""
    with psycopg.connect(home.env["DATABASE_URL"]) as connection:
        events = connection.execute("SELECT count(*) FROM audit_events").fetchone()
    return {"users": rows_in(home)["users"], "events": events[0] if events else 0}


class Admin:
    """The one admin, signed in a moment ago, by token and by cookie, on one connection."""

    def __init__(self, home: Home, server: ServerProcess) -> None:
        self.home = home
        self.seat = admin_seat(home)
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self._token = ""
        self._cookies: dict[str, str] = {}
        self.prove()

    def prove(self) -> None:
        """Give the password again: what lasts ten minutes begins anew."""
        cookie = new_session_cookie(self.seat.session.id)
        with psycopg.connect(self.home.env["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(PROVE, [digest(cookie), self.seat.session.id])
        self._cookies = {COOKIES.name(SESSION): cookie}
        session = replace(self.seat.session, authenticated_at=moment())
        self._token = self.home.crowd.tokens.write_access(self.seat.account, session, moment())

    def ask(self, path: str) -> http.client.HTTPResponse:
        """The answer to a GET, its body unread.

        Raises:
            UnmeasuredError: it is not 200.
        """
        pages = path.startswith("/admin")
        kept = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self.connection.request("GET", path, headers={"Cookie": kept} if pages else {"Authorization": f"Bearer {self._token}"})
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise UnmeasuredError(f"GET {path} answers {answer.status}: {answer.read(300)!r}")
        for name, morsel in SimpleCookie("; ".join(answer.headers.get_all("set-cookie", []))).items():
            if name == COOKIES.name(CONSOLE):
                self._cookies[name] = morsel.value
        return answer

    def look(self, path: str) -> float:
        """Milliseconds from asking to the last byte."""
        started = time.perf_counter()
        self.ask(path).read()
        return (time.perf_counter() - started) * 1000

    def cursor(self, listing: str, position: list[Any]) -> str:
        """As the server makes them: walking to a far page would take minutes."""
        key = derive_key(self.home.crowd.settings.SECRET_KEY.get_secret_value(), "cursor")
        return write_cursor(key, listing, position)
