"""A true chain of events by the million: two processes make rows by the app's own functions, and hand each other the last seal.

A process makes a block of rows, digests and all, while the other does the same; only the seals wait for those before. The keys
are the server's own, so it goes on with the chain, and `python -m app audit verify` finds it whole.
"""

import json
import multiprocessing
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection, wait
from typing import Any

import psycopg
from psycopg import sql

from app.audit.chain import BEGINNING, COLUMNS, WRITTEN, AuditKeys, digest_of, seal_of
from app.audit.facts import Fact
from app.config import Settings
from bench.speed.seeds import SEED, moment
from bench.speed.wrk import UnmeasuredError

BLOCK = 20_000
PROCESSES = 2
SPAN = timedelta(days=300)
ID_BYTES = 16
BUSY_ADDRESS, BUSY_SHARE = "203.0.113.7", 0.05  # an office, or an attacker
BUSY_PERSON_SHARE = 0.01
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/604.1",
)
# A fact, how often of a thousand, who does it, and its data.
KINDS: tuple[tuple[Fact, float, str, dict[str, str]], ...] = (
    (Fact.LOGIN_SUCCEEDED, 550, "own", {"method": "pwd"}),
    (Fact.LOGIN_FAILED, 170, "stranger", {"reason": "password"}),
    (Fact.SESSION_ENDED, 150, "own", {"reason": "logout"}),
    (Fact.REAUTHENTICATED, 30, "own", {"method": "pwd"}),
    (Fact.PASSWORD_CHANGED, 30, "own", {}),
    (Fact.EMAIL_VERIFIED, 30, "own", {}),
    (Fact.RESET_REQUESTED, 30, "stranger", {}),
    (Fact.STATUS_CHANGED, 9.9, "staff", {"before": "active", "after": "disabled"}),
    (Fact.ROLE_CHANGED, 0.1, "staff", {"before": "user", "after": "support"}),
)
JSON = frozenset({"data", "personal"})
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'audit_events' AND indexname <> 'pk_audit_events'"
SERIAL = "SELECT setval(pg_get_serial_sequence('audit_events', 'id'), %s)"


@dataclass(frozen=True, slots=True)
class Plan:
    """What each process knows: how many rows there are to be, whose, and since when."""

    url: str
    secret: str
    count: int
    people: bytes  # their ids, one after the other
    staff: uuid.UUID
    busiest: uuid.UUID
    begins: datetime


def fill_log(settings: Settings, count: int, people: Sequence[uuid.UUID], staff: uuid.UUID, busiest: uuid.UUID) -> Plan:
    """Write so many events of these people, chained; the indexes are made afterwards.

    Raises:
        UnmeasuredError: one of the processes failed.
    """
    url = settings.DATABASE_URL.get_secret_value()
    ids = b"".join(each.bytes for each in people)
    plan = Plan(url, settings.audit_secret, count, ids, staff, busiest, moment() - SPAN)
    with psycopg.connect(url, autocommit=True) as connection:
        indexes = connection.execute(INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        seal = _write(plan)
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute(SERIAL, [count])
        connection.execute("UPDATE audit_chain SET position = %s, seal = %s, taken_in_to = 0", [count, seal])
        connection.execute("VACUUM (ANALYZE)")
    return plan


def moment_of(plan: Plan, number: int) -> datetime:
    """When the row with this number was written, counted from 0."""
    return plan.begins + SPAN * (number / plan.count)  # divided first, as a timedelta ends at a thousand million days


def append_unsealed(plan: Plan, after: int, count: int) -> None:
    """Write rows of now, behind an id, as requests do: marked as ours, without a place."""
    keys = AuditKeys(plan.secret)
    now = moment()
    names = [name for name in COLUMNS if name != "id"]  # given by the database
    with psycopg.connect(plan.url, autocommit=True) as connection, connection.cursor().copy(_copying(names)) as copy:
        for number, row in enumerate(make_rows(plan, after, count)):
            row |= {"at": now + timedelta(microseconds=number), "position": None}
            row["mark"] = keys.mark_row(digest_of(row))
            copy.write_row([json.dumps(row[name]) if name in JSON else row[name] for name in names])


def _copying(names: Sequence[str]) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    return sql.SQL("COPY audit_events ({}) FROM STDIN").format(columns)


def _write(plan: Plan) -> bytes:
    spawning = multiprocessing.get_context("spawn")
    ends = [spawning.Pipe(duplex=False) for _ in range(PROCESSES)]
    takes, gives = [end[0] for end in ends], [end[1] for end in ends]
    processes = [
        spawning.Process(target=write_part, args=(plan, part, takes[part], gives[(part + 1) % PROCESSES]), daemon=True)
        for part in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    gives[0].send_bytes(BEGINNING)
    waiting = {process.sentinel: process for process in processes}
    while waiting:
        for sentinel in wait(list(waiting)):
            ended = waiting.pop(int(sentinel)) if isinstance(sentinel, int) else None
            if ended is None or ended.exitcode:
                for process in processes:
                    process.kill()
                raise UnmeasuredError("a process that writes events failed")
    blocks = -(-plan.count // BLOCK)
    return takes[blocks % PROCESSES].recv_bytes()


def write_part(plan: Plan, part: int, take: Connection, give: Connection) -> None:
    """What one process does: each block that is its turn."""
    keys = AuditKeys(plan.secret)
    with psycopg.connect(plan.url, autocommit=True) as connection, connection.cursor() as cursor:
        for first in range(part * BLOCK, plan.count, PROCESSES * BLOCK):
            rows = make_rows(plan, first, min(BLOCK, plan.count - first))
            digests = [digest_of(row) for row in rows]
            seal = take.recv_bytes()
            for row, digest in zip(rows, digests, strict=True):
                seal = seal_of(seal, row["position"], row["id"], digest, WRITTEN)
                row["seal"] = seal
            give.send_bytes(seal)
            with cursor.copy(_copying(COLUMNS)) as copy:
                for row in rows:
                    row["mark"] = keys.mark_seal(row["seal"])
                    copy.write_row([json.dumps(row[name]) if name in JSON else row[name] for name in COLUMNS])


def make_rows(plan: Plan, first: int, count: int) -> list[dict[str, Any]]:
    """Rows of these numbers, without seals; the same every time but for their salts."""
    chance = random.Random(SEED + first)
    kinds = chance.choices(KINDS, weights=[kind[1] for kind in KINDS], k=count)
    return [_row(plan, number, kind, chance) for number, kind in enumerate(kinds, first)]


def _row(plan: Plan, number: int, kind: tuple[Fact, float, str, dict[str, str]], chance: random.Random) -> dict[str, Any]:
    fact, _, whose, data = kind
    total = len(plan.people) // ID_BYTES
    who = int(chance.random() * total)
    is_busiest = chance.random() < BUSY_PERSON_SHARE
    subject = plan.busiest if is_busiest else uuid.UUID(bytes=plan.people[who * ID_BYTES : (who + 1) * ID_BYTES])
    bits = chance.getrandbits(2 * ID_BYTES * 8)
    near = chance.random() < BUSY_SHARE
    return {
        "id": number + 1,
        "at": moment_of(plan, number),
        "fact": fact.value,
        "actor_id": {"own": subject, "staff": plan.staff}.get(whose),
        "subject_id": subject,
        "impersonator_id": None,
        "session_id": uuid.UUID(int=bits >> 128) if whose == "own" else None,
        "request_id": f"{number:016x}",
        "address": BUSY_ADDRESS if near else f"10.{who >> 16 & 255}.{who >> 8 & 255}.{who & 255}",
        "user_agent": AGENTS[who % len(AGENTS)],
        "data": data,
        "personal": {},
        "client_salt": (bits & (1 << 128) - 1).to_bytes(16, "big"),
        "personal_salt": (bits >> 128).to_bytes(16, "big"),
        "client_digest": None,
        "personal_digest": None,
        "position": number + 1,
        "seal": None,
        "mark": None,
    }
