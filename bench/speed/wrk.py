"""Load by wrk: one thread, keep-alive connections, requests out of a file by requests.lua."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LUA = Path(__file__).with_name("requests.lua")
CONNECTIONS = 32
TIMEOUT = "10s"
SOCKET_ERRORS = ("connect", "read", "write", "timeout")


class UnmeasuredError(Exception):
    """There is no figure, and this is why."""


@dataclass(slots=True)
class Feed:
    """Lines to make requests of, and how far they have been used: what begins later goes on where the last run stopped."""

    file: Path
    count: int
    kind: Literal["bearer", "json"]
    method: str
    path: str
    repeats: bool = True
    position: int = 0

    def arguments(self) -> list[str]:
        """As requests.lua takes them."""
        how = "cycle" if self.repeats else "once"
        return [str(self.file), str(self.position), how, self.kind, self.method, self.path]


def write_feed(
    file: Path, lines: list[str], kind: Literal["bearer", "json"], method: str, path: str, *, repeats: bool = True
) -> Feed:
    """Put the lines into a file."""
    file.write_text("".join(f"{line}\n" for line in lines))
    return Feed(file, len(lines), kind, method, path, repeats)


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk saw; times in milliseconds."""

    requests: int
    seconds: float
    refused: int
    errors: int
    p50: float
    p90: float
    p99: float
    longest: float
    position: int
    exhausted: bool

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    def check(self) -> None:
        """Return if every answer was a good one.

        Raises:
            UnmeasuredError: some were not.
        """
        if self.exhausted:
            raise UnmeasuredError("the requests prepared did not suffice")
        if self.refused or self.errors or not self.requests:
            raise UnmeasuredError(
                f"of {self.requests} answers {self.refused} had a status of 400 or above; {self.errors} socket errors"
            )


def parse(output: str) -> Run:
    """The line of JSON that requests.lua printed.

    Raises:
        UnmeasuredError: there is none.
    """
    line = next((line for line in output.splitlines() if line.startswith("JSON ")), None)
    if line is None:
        raise UnmeasuredError(f"wrk printed no figures: {output[-300:]}")
    said = json.loads(line.removeprefix("JSON "))
    return Run(
        requests=said["requests"],
        seconds=said["microseconds"] / 1e6,
        refused=said["status"],
        errors=sum(said[name] for name in SOCKET_ERRORS),
        p50=said["p50"] / 1000,
        p90=said["p90"] / 1000,
        p99=said["p99"] / 1000,
        longest=said["max"] / 1000,
        position=said["position"],
        exhausted=bool(said["exhausted"]),
    )


def load(port: int, feed: Feed, seconds: int, connections: int = CONNECTIONS) -> Run:
    """Ask as fast as answers come."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", TIMEOUT, "-s", str(LUA)]
    command += [f"http://127.0.0.1:{port}", "--", *feed.arguments()]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    run = parse(ended.stdout + ended.stderr)
    feed.position = run.position
    return run


def has_wrk() -> bool:
    """Whether it is on the PATH."""
    return shutil.which("wrk") is not None


def wrk_version() -> str:
    """As it says itself."""
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).split("[")[0].removeprefix("wrk").strip()
