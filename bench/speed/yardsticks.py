"""Yardsticks that are no servers: each a process of its own on the server's core, told what to do by a file.

`python -m bench.speed.yardsticks NAME FILE` prints one line of JSON. A yardstick is the bare minimum of what the server must do:
psycopg on uvloop, statements prepared, as many connections as the application's pool may open.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import bcrypt
import psycopg
import uvloop

from bench.speed.figures import Sample

SELECTS, UPDATES, HASHES = "selects", "updates", "hashes"
BATCH = 32
WARM_UP_SECONDS = 0.5
SELECT = "SELECT id, user_id, generation, used_at, expires_at, ended_at FROM sessions WHERE id = "
UPDATE = "UPDATE sessions SET generation = generation + 1, rotated_at = now() WHERE id = "


async def _count(loops: list[Callable[[], Awaitable[int]]], seconds: float) -> float:
    """How many a second all loops do together, each its next as soon as its last is done."""
    counted, ends = 0, time.perf_counter() + min(WARM_UP_SECONDS, seconds) + seconds
    begins = ends - seconds

    async def go(step: Callable[[], Awaitable[int]]) -> None:
        nonlocal counted
        while time.perf_counter() < ends:
            done = await step()
            if begins <= time.perf_counter() < ends:
                counted += done

    await asyncio.gather(*map(go, loops))
    return counted / seconds


Connection = psycopg.AsyncConnection[tuple[Any, ...]]


def _pool_size() -> int:
    from app.database import POOL_SIZE

    return 2 * POOL_SIZE  # that many it keeps, and as many it may open beyond


async def _connections(url: str, count: int) -> list[Connection]:
    return [await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0) for _ in range(count)]


def _one_by_one(connection: Connection, statement: str, ids: list[str]) -> Callable[[], Awaitable[int]]:
    position = 0

    async def step() -> int:
        nonlocal position
        position = (position + 1) % len(ids)
        cursor = await connection.execute(statement, [ids[position]])
        if cursor.rowcount != 1:
            raise LookupError(f"{cursor.rowcount} rows of one id")
        if cursor.description:
            await cursor.fetchall()
        return 1

    return step


def _many_at_once(connection: Connection, ids: list[str]) -> Callable[[], Awaitable[int]]:
    position = 0

    async def step() -> int:
        nonlocal position
        position = (position + BATCH) % (len(ids) - BATCH)
        cursor = await connection.execute(f"{SELECT} ANY(%s::uuid[])", [ids[position : position + BATCH]])
        return len(await cursor.fetchall())

    return step


async def selects(task: dict[str, Any]) -> Sample:
    """Rows a second by primary key: one a statement on as many connections as the pool has, and many a statement on one."""
    connections = await _connections(task["url"], _pool_size())
    shares = [task["ids"][number :: len(connections)] for number in range(len(connections))]
    single = [_one_by_one(each, f"{SELECT} %s::uuid", share) for each, share in zip(connections, shares, strict=True)]
    rate = await _count(single, task["seconds"] / 2)
    batched = await _count([_many_at_once(connections[0], task["ids"])], task["seconds"] / 2)
    for each in connections:
        await each.close()
    return {"rate": round(rate, 1), "batched": round(batched, 1), "connections": len(connections)}


async def updates(task: dict[str, Any]) -> Sample:
    """Rows a second, each changed by a statement and a commit of its own; no two connections want the same row."""
    connections = await _connections(task["url"], _pool_size())
    shares = [task["ids"][number :: len(connections)] for number in range(len(connections))]
    loops = [_one_by_one(each, f"{UPDATE} %s::uuid", share) for each, share in zip(connections, shares, strict=True)]
    rate = await _count(loops, task["seconds"])
    for each in connections:
        await each.close()
    return {"rate": round(rate, 1), "connections": len(connections)}


def hashes(task: dict[str, Any]) -> Sample:
    """Passwords checked a second by bcrypt alone on so many threads, and the processor time of one check."""
    password, stored = task["password"].encode(), task["hash"].encode()
    rates: list[float] = []
    taken: list[float] = []

    def work() -> None:
        bcrypt.checkpw(password, stored)
        started, began, count = time.perf_counter(), time.thread_time(), 0
        while (elapsed := time.perf_counter() - started) < task["seconds"]:
            bcrypt.checkpw(password, stored)
            count += 1
        rates.append(count / elapsed)
        taken.append((time.thread_time() - began) / count * 1000)

    threads = [threading.Thread(target=work) for _ in range(task["threads"])]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return {"rate": round(sum(rates), 3), "cpu_ms": round(sum(taken) / len(taken), 4), "threads": len(threads)}


def main() -> None:
    """The command."""
    name, file = sys.argv[1:]
    task = json.loads(Path(file).read_text())
    found = hashes(task) if name == HASHES else uvloop.run((selects if name == SELECTS else updates)(task))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
