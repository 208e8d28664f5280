"""Accounts put straight into the database: thousands at once, all with one password and one precomputed hash a scheme."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import bcrypt
import psycopg
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import insert

from app.auth.models import LoginFailure
from app.auth.service import STOP_AT
from app.auth.utils import ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_TIME, label_of
from app.config import Settings
from app.core.crypto import derive_key, keyed_digest, new_id
from app.core.permissions import Role
from app.database import Database
from app.users.models import HashScheme, User

State = Literal["active", "disabled", "stopped"]
PASSWORD, WRONG = "Plain-harbour-71-kettle!", "Plain-harbour-71-kettlE!"
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, or somebody who might have one: nothing in the name tells which."""

    username: str

    @property
    def email(self) -> str:
        """Where their mail goes."""
        return f"{self.username}@example.com"


def people(count: int, chance: random.Random) -> list[Person]:
    """So many persons that nobody has met before."""
    return [Person(f"{chance.randrange(16**14):014x}") for _ in range(count)]


def stored(scheme: str) -> str:
    """A hash of PASSWORD under `bcrypt/NN` or `argon2id`."""
    if scheme == "argon2id":
        return Argon2Hasher(time_cost=ARGON2_TIME, memory_cost=ARGON2_MEMORY_KIB, parallelism=ARGON2_LANES).hash(PASSWORD)
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(int(scheme.removeprefix("bcrypt/")))).decode()


async def seed(settings: Settings, persons: Sequence[Person], *, password_hash: str, state: State = "active") -> None:
    """Give them accounts."""
    now = datetime.now(UTC)
    lane_key = derive_key(settings.SECRET_KEY.get_secret_value(), "login-lanes")
    rows = [_row(person, password_hash, state, now) for person in persons]
    failures = [
        {
            "key": keyed_digest(lane_key, "account", row["id"].bytes),
            "failures": STOP_AT + 1,
            "told_at": now,
            "next_at": now,
            "forget_at": now + timedelta(days=30),
        }
        for row in rows
        if state == "stopped"
    ]
    database = Database(settings.database_url)
    try:
        async with database.write() as db:
            for start in range(0, len(rows), CHUNK):
                await db.execute(insert(User), rows[start : start + CHUNK])
                if failures:
                    await db.execute(insert(LoginFailure), failures[start : start + CHUNK])
            if await db.get(HashScheme, label_of(password_hash)) is None:
                await db.execute(insert(HashScheme).values(scheme=label_of(password_hash)))
    finally:
        await database.close()
    if not database.is_sqlite:
        await asyncio.to_thread(_vacuum, settings)


def _row(person: Person, password_hash: str, state: State, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(now),
        "username": person.username,
        "username_key": person.username,
        "email": person.email,
        "email_key": person.email,
        "password_hash": password_hash,
        "role": Role.USER,
        "epoch": 0,
        "created_at": now,
        "password_changed_at": now,
        "disabled_at": now if state == "disabled" else None,
    }


def _vacuum(settings: Settings) -> None:
    # What autovacuum does by itself in a database that is not a minute old.
    with psycopg.connect(settings.DATABASE_URL.get_secret_value(), autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) users, login_failures")
