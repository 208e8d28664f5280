"""Processes of the application that begin with its modules loaded: a start takes a fifth of a second instead of two.

Each is a process of its own, forked from one that has loaded the application and done nothing else (zygote.py); it has the
environment, folder and files it is given, and leads a session of its own. What depends on how a process is started, on what it
loads, or on variables that Python or a library reads at once, is started by `subprocess` as ever; so is one with `--workers`.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Protocol

from tests.support.processes import ROOT

READ_AT_ONCE = ("PYTHON", "OTEL_", "LD_", "LC_", "LANG", "TZ", "SSL_")
OURS = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


class Started(Protocol):
    """What `subprocess.Popen` and `Forked` have in common."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Forked:
    """A process that was forked for us; as `subprocess.Popen` has it, a negative status is the signal that ended it."""

    def __init__(self, pid: int, ended: int, command: Sequence[str]) -> None:
        self.pid = pid
        self._ended = ended  # a pipe that the status comes through
        self._command = command
        self._status: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The status, if it has ended."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The status, once it has ended."""
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self._command, timeout or 0)
        return status

    def terminate(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, seconds: float | None) -> int | None:
        with self._lock:
            if self._status is None and select.select([self._ended], [], [], seconds)[0]:
                said = os.read(self._ended, 16)
                os.close(self._ended)
                self._status = int(said) if said else -signal.SIGKILL  # the zygote is gone, and so is all of this run
            return self._status


class _Zygote:
    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.zygote", str(theirs.fileno())],
                env={"PATH": os.environ["PATH"], **OURS},
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self.close)

    def fork(self, command: Sequence[str], env: Mapping[str, str], folder: Path, files: Sequence[int]) -> Forked:
        ended, tells = os.pipe()
        request = json.dumps({"command": command, "env": dict(env), "cwd": str(folder)}).encode()
        try:
            with self._lock:
                socket.send_fds(self._socket, [request], [*files, tells])
                pid = int(self._socket.recv(32))
        finally:
            os.close(tells)
        return Forked(pid, ended, command)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(10)


class Forking:
    """Whether to fork at all: what measures the start of a server must not."""

    wanted = False


@cache
def _zygote() -> _Zygote:
    return _Zygote()


def can_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a process with these arguments to Python, and this environment, is the same when it is forked."""
    plain = all(OURS.get(name) == value for name, value in env.items() if name.startswith(READ_AT_ONCE))
    return plain and env.get("PYTHONPATH") == str(ROOT) and "--workers" not in command


def start(
    command: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
    *,
    stdout: IO[bytes],
    stderr: IO[bytes],
    stdin: IO[bytes] | None = None,
) -> Started:
    """`python COMMAND`, forked if that is the same, in a session of its own."""
    if Forking.wanted and can_fork(command, env):
        with Path(os.devnull).open("rb") as nothing:
            return _zygote().fork(command, env, folder, [(stdin or nothing).fileno(), stdout.fileno(), stderr.fileno()])
    return subprocess.Popen(
        [sys.executable, *command],
        env=env,
        cwd=folder,
        stdin=stdin or subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
