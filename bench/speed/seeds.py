"""Accounts, sessions and tokens by the thousand, written straight into the tables."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import bcrypt
import psycopg
from psycopg import sql
from sqlalchemy import bindparam, create_engine, insert, select, update
from sqlalchemy.engine import URL, Engine, make_url

from app.auth.models import Session
from app.auth.sessions import USED_TO
from app.auth.utils import Tokens, label_of
from app.config import Settings
from app.core.crypto import new_id
from app.core.permissions import Role
from app.core.ports import Account, SessionFacts
from app.database import tune_sqlite
from app.users.models import HashScheme, User
from bench.speed.wrk import Feed, write_feed

PASSWORD = "Plain-harbour-71-kettle!"
SEED = 20_260_701
TOKEN_LIFE = timedelta(hours=12)  # longer than any run; the server only asks whether the end has come
SESSION_LIFE = timedelta(days=30)
USED_WITHIN = USED_TO.total_seconds()  # "last used" is written that often, so rows fall due here as they do in real use
Rows = list[dict[str, Any]]


@cache
def hash_of(cost: int) -> str:
    """One hash of PASSWORD for everybody: seeding hashes nothing else."""
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)).decode()


@dataclass(frozen=True, slots=True)
class Seat:
    """A session and whose it is: what a token is minted from."""

    account: Account
    session: SessionFacts


def make_accounts(count: int, now: datetime, first: int = 0) -> list[Account]:
    """Accounts whose JSON is as long as the yardstick's."""
    names = (f"user{number:010d}" for number in range(first, first + count))
    made = (now - timedelta(days=30)).replace(microsecond=789012)
    return [Account(new_id(made), name, f"{name}@example.com", Role.USER, False, made) for name in names]


def make_seats(accounts: Sequence[Account], count: int, now: datetime) -> list[Seat]:
    """So many sessions, dealt to the accounts in turn."""
    return [
        Seat(
            accounts[number % len(accounts)],
            SessionFacts(new_id(now), 0, now, now - timedelta(minutes=6), now + SESSION_LIFE, "pwd"),
        )
        for number in range(count)
    ]


def user_rows(accounts: Iterable[Account], cost: int) -> Rows:
    """As the table has them."""
    return [
        {
            "id": account.id,
            "username": account.username,
            "username_key": account.username,
            "email": account.email,
            "email_key": account.email,
            "password_hash": hash_of(cost),
            "role": account.role.value,
            "epoch": 0,
            "created_at": account.created_at,
            "password_changed_at": account.created_at,
        }
        for account in accounts
    ]


def session_rows(seats: Sequence[Seat], now: datetime) -> Rows:
    """As the table has them, last used at moments spread over the past five minutes."""
    chance = random.Random(SEED)
    return [
        {
            "id": seat.session.id,
            "user_id": seat.account.id,
            "generation": 0,
            "rotated_at": seat.session.rotated_at,
            "created_at": seat.session.authenticated_at,
            "authenticated_at": seat.session.authenticated_at,
            "used_at": now - timedelta(seconds=chance.random() * USED_WITHIN),
            "expires_at": seat.session.expires_at,
            "address": "127.0.0.1",
            "user_agent": "wrk",
            "amr": "pwd",
        }
        for seat in seats
    ]


def write(settings: Settings, users: Rows, sessions: Rows) -> None:
    """Put the rows where the settings say: COPY into PostgreSQL, many at once into SQLite."""
    url = make_url(settings.database_url)
    schemes = [{"scheme": scheme} for scheme in {label_of(row["password_hash"]) for row in users}]
    if url.get_backend_name() == "sqlite":
        _insert(url, users, sessions, schemes)
        return
    with psycopg.connect(settings.DATABASE_URL.get_secret_value(), autocommit=True) as connection:
        for table, rows in (("users", users), ("sessions", sessions)):
            if rows:
                _copy(connection, table, rows)
        for scheme in schemes:
            connection.execute("INSERT INTO hash_schemes (scheme) VALUES (%s) ON CONFLICT DO NOTHING", [scheme["scheme"]])
        connection.execute("VACUUM (ANALYZE)")  # what autovacuum does by itself in a database that is not a minute old


def freshen(settings: Settings) -> None:
    """Spread over the past five minutes again what has not been used for longer.

    While a yardstick has its turn, sessions fall due to be written as used. All of them would meet the server at the beginning
    of its own turn, several times as many as in real use.
    """
    now, chance = moment(), random.Random()
    engine = _engine(make_url(settings.database_url))
    try:
        with engine.begin() as connection:
            due = connection.scalars(select(Session.id).where(Session.used_at < now - USED_TO, Session.ended_at.is_(None))).all()
            if due:
                again = [{"one": sid, "at": now - timedelta(seconds=chance.random() * USED_WITHIN)} for sid in due]
                connection.execute(
                    update(Session).where(Session.id == bindparam("one")).values(used_at=bindparam("at")),
                    again,
                    execution_options={"synchronize_session": None},
                )
    finally:
        engine.dispose()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url)
    engine = create_engine(url.set(drivername="sqlite"))
    tune_sqlite(engine, immediate=True)
    return engine


def _copy(connection: psycopg.Connection[Any], table: str, rows: Rows) -> None:
    columns = list(rows[0])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([row[column] for column in columns])


def _insert(url: URL, users: Rows, sessions: Rows, schemes: Rows) -> None:
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            for table, rows in ((User, users), (Session, sessions)):
                if rows:
                    connection.execute(insert(table), rows)
            known = set(connection.scalars(select(HashScheme.scheme)))
            if new := [row for row in schemes if row["scheme"] not in known]:
                connection.execute(insert(HashScheme), new)
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who is in a database, and what requests of theirs can be made of."""

    settings: Settings
    accounts: list[Account]
    seats: list[Seat]
    folder: Path

    @property
    def tokens(self) -> Tokens:
        """The server's own way of writing them."""
        secret = self.settings.SECRET_KEY.get_secret_value()
        return Tokens(secret, self.settings.public_url, TOKEN_LIFE)

    def access(self, name: str, path: str, count: int | None = None) -> Feed:
        """Access tokens to be shown again and again, in random order; more than there are sessions: several of each."""
        tokens, now = self.tokens, moment()
        count = len(self.seats) if count is None else count
        seats = [self.seats[number % len(self.seats)] for number in range(count)]
        random.Random(SEED).shuffle(seats)
        written = [tokens.write_access(seat.account, seat.session, now) for seat in seats]
        return write_feed(self.folder / name, written, "bearer", "GET", path)

    def refresh(self, name: str, seats: Sequence[Seat]) -> Feed:
        """Refresh tokens to be spent, each once."""
        tokens = self.tokens
        bodies = [json.dumps({"refresh_token": tokens.write_refresh(seat.account, seat.session)}) for seat in seats]
        random.Random(SEED).shuffle(bodies)
        return write_feed(self.folder / name, bodies, "json", "POST", "/auth/refresh", repeats=False)

    def logins(self, name: str) -> Feed:
        """Each account's name and password, in random order."""
        bodies = [json.dumps({"username": account.username, "password": PASSWORD}) for account in self.accounts]
        random.Random(SEED).shuffle(bodies)
        return write_feed(self.folder / name, bodies, "json", "POST", "/auth/login")

    def more_seats(self, count: int) -> list[Seat]:
        """New sessions of these accounts, in the database when this returns."""
        now = moment()
        seats = make_seats(self.accounts, count, now)
        write(self.settings, [], session_rows(seats, now))
        return seats


def settle(settings: Settings, folder: Path, *, users: int, sessions: int, cost: int) -> Crowd:
    """Fill a database nobody has used."""
    now = moment()
    accounts = make_accounts(users, now)
    seats = make_seats(accounts, sessions, now)
    write(settings, user_rows(accounts, cost), session_rows(seats, now))
    folder.mkdir(parents=True, exist_ok=True)
    return Crowd(settings, accounts, seats, folder)


def moment() -> datetime:
    """Now."""
    return datetime.now(UTC)
