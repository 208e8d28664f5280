"""Databases of any size, filled by SQL: users, sessions that ended, keys on the blocklist."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from app.auth.blocklist import PREFIX
from app.config import load_settings
from app.core.permissions import Role
from app.core.ports import Account
from bench.speed.seeds import Crowd, Seat, hash_of, make_seats, moment, session_rows, write
from bench.speed.stand import Home, Stand
from bench.speed.wrk import UnmeasuredError

COST = 4  # so that what the database takes is seen behind the hash
SEATS = 10_000
BYTES_PER_USER = 8_000  # with its ten sessions, their indexes and the log of writing them
KEYS_AT_ONCE = 100_000
USERS = """
INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, epoch, created_at, password_changed_at)
SELECT uuidv7(make_interval(secs => n - %(count)s)), name, name, name || '@example.com', name || '@example.com',
       %(hash)s, 'user', 0, now() + make_interval(secs => n - %(count)s), now()
FROM (SELECT n, 'user' || lpad(n::text, 10, '0') AS name FROM generate_series(1, %(count)s) AS n) AS named
"""
ENDED = """
INSERT INTO sessions (id, user_id, generation, rotated_at, created_at, used_at, expires_at, ended_at, end_reason,
                      address, user_agent, amr, authenticated_at)
SELECT uuidv7(make_interval(days => -n)), u.id, 3, now(), now(), now(), now() + interval '30 days', now(), 'logout',
       '127.0.0.1', 'wrk', 'pwd', now()
FROM generate_series(1, %(each)s) AS n, users AS u
"""
SAMPLE = """
SELECT id, username, email, created_at FROM (
  SELECT *, row_number() OVER (ORDER BY id) AS number FROM users
) AS numbered WHERE number %% %(every)s = 0 ORDER BY number LIMIT %(most)s
"""
# Keys as the server writes them, for sessions that nobody has.
BLOCK = """
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('SET', string.format('%s:sid:%032x', KEYS[1], n), '1', 'EX', 7200)
end
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything: so many users and keys, each user with so many sessions that ended."""

    users: int
    ended_each: int


def check_room(stand: Stand, users: int) -> None:
    """Return if there is room for that many.

    Raises:
        UnmeasuredError: there is not.
    """
    free, needed = shutil.disk_usage(stand.postgres.folder).free, users * BYTES_PER_USER
    if free < needed:
        place = stand.postgres.folder.parent
        raise UnmeasuredError(f"needs {needed / 2**30:.0f} GiB in {place}, there are {free / 2**30:.0f}")


def fill(stand: Stand, redis_db: int, size: Size) -> Home:
    """A database of that size, with 10,000 live sessions of users from all over it, and its keys in Redis."""
    env = stand.environment(stand.database("services"), COST, redis=stand.redis, REDIS_URL=stand.redis.url(redis_db))
    settings = load_settings(env, env_file=None)
    with psycopg.connect(settings.DATABASE_URL.get_secret_value(), autocommit=True) as connection:
        connection.execute(USERS, {"count": size.users, "hash": hash_of(COST)})
        connection.execute(ENDED, {"each": size.ended_each})
        every = max(1, size.users // SEATS)
        sample = connection.execute(SAMPLE, {"every": every, "most": SEATS}).fetchall()
        connection.execute("UPDATE users SET role = 'admin' WHERE id = %s", [sample[0][0]])
        connection.execute("INSERT INTO hash_schemes (scheme) VALUES (%s)", [f"bcrypt/{COST:02}"])
    accounts = [_account(row) for row in sample]
    now = moment()
    seats = make_seats(accounts, SEATS, now)
    write(settings, [], session_rows(seats, now))  # and VACUUM (ANALYZE)
    _block(stand, redis_db, size.users)
    return Home("services", env, Crowd(settings, accounts, seats, stand.new_folder()))


def admin_seat(home: Home) -> Seat:
    """The session of the one admin."""
    return home.crowd.seats[0]


def _account(row: tuple[Any, ...]) -> Account:
    user_id, username, email, created_at = row
    return Account(user_id, username, email, Role.USER, False, created_at)


def _block(stand: Stand, redis_db: int, count: int) -> None:
    with stand.redis.connect() as client:
        client.select(redis_db)
        for first in range(1, count + 1, KEYS_AT_ONCE):
            client.eval(BLOCK, 1, PREFIX, str(first), str(min(first + KEYS_AT_ONCE - 1, count)))


def rows_in(home: Home) -> dict[str, int]:
    """How many rows and keys there are, counted."""
    with closing(psycopg.connect(home.env["DATABASE_URL"])) as connection:
        found = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("users", "sessions")}
    return {table: row[0] if row else 0 for table, row in found.items()}
