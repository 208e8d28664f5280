"""People who log in without end: `python -m bench.speed.logging_in TASK`, a process of its own beside the server.

Each connection logs somebody in, then the next; after a 503 it waits as long as Retry-After says. Told to end by SIGTERM
they all close their connections at once, and it prints one line of JSON. Nothing heavy is imported: it is there at once.
"""

import asyncio
import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LOST = (OSError, asyncio.IncompleteReadError, ValueError)
PAUSE_SECONDS = 0.1
BEGUN = "begun"


@dataclass(slots=True)
class Seen:
    """What came back."""

    good: list[float] = field(default_factory=list)  # moments, by the monotonic clock
    shed: int = 0
    others: dict[str, int] = field(default_factory=dict)

    def rate(self, begins: float, ends: float) -> float:
        """Logins a second in that time."""
        return sum(begins <= moment < ends for moment in self.good) / (ends - begins)


async def _log_in(port: int, bodies: Iterator[bytes], seen: Seen) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    await _once(reader, writer, next(bodies), seen)
            finally:
                writer.close()
        except LOST as error:
            name = type(error).__name__
            seen.others[name] = seen.others.get(name, 0) + 1
            await asyncio.sleep(PAUSE_SECONDS)


async def _once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes, seen: Seen) -> None:
    head = "POST /auth/login HTTP/1.1\r\nHost: localhost\r\nUser-Agent: people\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    code = status.split()[1]
    if code == "200":
        seen.good.append(time.monotonic())
    elif code == "503" and headers.get("retry-after", "").isdecimal():
        seen.shed += 1
        await asyncio.sleep(int(headers["retry-after"]))
    else:
        seen.others[code] = seen.others.get(code, 0) + 1
        await asyncio.sleep(PAUSE_SECONDS)


async def _work(task: dict[str, Any]) -> Seen:
    lines = Path(task["file"]).read_bytes().splitlines()
    first = task["first"] % len(lines)
    bodies, seen, told = itertools.cycle(lines[first:] + lines[:first]), Seen(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    print(BEGUN, flush=True)
    working = [asyncio.create_task(_log_in(task["port"], bodies, seen)) for _ in range(task["connections"])]
    await told.wait()
    for each in working:
        each.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    return seen


def main() -> None:
    """The command."""
    task = json.loads(Path(sys.argv[1]).read_text())
    seen = asyncio.run(_work(task))
    print(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main()
