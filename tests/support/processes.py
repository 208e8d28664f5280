"""Ports, waiting, signals, and a reaper that ends our servers if the test run itself is killed."""

import atexit
import fcntl
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
_PORTS = list(range(20000, 32000))  # below the ephemeral range: no outgoing connection can take one between stop and start
_reserved: list[int] = []  # open lock files; the kernel frees them when this process ends


def free_port() -> int:
    """A port nobody listens on, reserved for this process among all test processes of this user."""
    folder = Path(tempfile.gettempdir()) / f"authkeep-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    start = secrets.randbelow(len(_PORTS))
    for port in [*_PORTS[start:], *_PORTS[:start]]:
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _reserved.append(lock)
        return port
    raise RuntimeError("no free port")


@cache
def fast_temp() -> str:
    """Where databases live: in memory if there is room, since copying one is 15 times as fast there."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30
    return str(memory) if roomy else open_temp()


def open_temp() -> str:
    """A folder for temporary files that any user gets to."""
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    return next((each for each in candidates if open_to_all(Path(each))), candidates[0])


def open_to_all(path: Path) -> bool:
    """Can any user get to this folder?"""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [path, *path.resolve().parents])


def wait_until(condition: Callable[[], object], what: str, timeout: float = 10) -> None:
    """Return as soon as the condition is true; TimeoutError naming `what` otherwise."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.005)


def freeze_tree(pid: int) -> list[psutil.Process]:
    """Stop a process and everything below it, the parent first so that it starts no more; returns once all stand still."""
    frozen: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        _freeze(parent)
        frozen = [parent, *parent.children(recursive=True)]
        for child in frozen[1:]:
            with suppress(psutil.NoSuchProcess):
                _freeze(child)
    return frozen


def _freeze(process: psutil.Process) -> None:
    process.suspend()  # the signal is only on its way then
    still = {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE}
    wait_until(lambda: process.status() in still, f"{process} stands still")


def thaw_tree(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent]:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def kill_tree(pid: int) -> None:
    """kill -9 of a process and everything below it."""
    for process in freeze_tree(pid):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def reap_if_we_die(pid: int) -> None:
    """Have this process killed when the test process goes away without stopping it (kill -9, a timeout)."""
    _tell_reaper(str(pid))


def remove_if_we_die(folder: Path) -> None:
    """Have this temporary folder removed when the test process goes away without doing so."""
    _tell_reaper(str(folder))


def _tell_reaper(line: str) -> None:
    pipe = _reaper().stdin
    assert pipe is not None
    pipe.write(f"{line}\n".encode())
    pipe.flush()


@cache
def _reaper() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-S", "-c", _REAPER, *sys.path]
    reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    atexit.register(reaper.communicate)  # closes its stdin: it ends after a last look
    return reaper


# psutil remembers when a process began, so a pid the system gave to someone else is never touched.
_REAPER = """
import shutil, sys
sys.path[:] = sys.argv[1:]
import psutil
watched, folders = [], []
for line in sys.stdin:
    watched = [process for process in watched if process.is_running()]
    if not line.strip().isdigit():
        folders.append(line.strip())
        continue
    try:
        watched.append(psutil.Process(int(line)))
    except psutil.NoSuchProcess:
        pass
for process in watched:
    try:
        for each in [*process.children(recursive=True), process]:
            each.kill()
    except psutil.NoSuchProcess:
        pass
psutil.wait_procs(watched, timeout=5)
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""
