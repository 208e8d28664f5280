"""A process that has loaded the application, and forks one that runs it whenever it is asked: see forks.py.

Run as a script, with the number of a socket it inherits. It makes no thread and opens nothing, so that what it forks begins as
a fresh interpreter does that has just loaded the same modules.
"""

import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

# Of either stack, and what the first requests load.
MODULES = (
    "app.main",
    "app.cli.app",
    "app.cli.accounts",
    "app.cli.transfer",
    "app.infra.redis",
    "app.infra.sessions_postgres",
    "app.infra.sessions_sqlite",
    "app.infra.smtp",
    "aiosqlite",
    "alembic.command",
    "httptools",
    "jinja2",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
LONGEST_REQUEST, STANDARD = 1 << 20, 3


def serve(asked: socket.socket) -> dict[str, Any]:
    """Fork for each request, and write the status of what ended into the pipe that came with it.

    Returns only in what was forked: what to run there. Ends the process when nobody asks any more.
    """
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    pipes: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asked.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(pipes)
        if asked.fileno() not in ready:
            continue
        message, fds, _, _ = socket.recv_fds(asked, LONGEST_REQUEST, STANDARD + 1)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, fd in enumerate(fds[:STANDARD]):
                os.dup2(fd, number)
            most = max(int(file.name) for file in Path("/dev/fd").iterdir())  # there may be a thousand million
            os.closerange(STANDARD, most + 1)
            request: dict[str, Any] = json.loads(message)
            return request
        pipes[pid] = fds[STANDARD]
        for fd in fds[:STANDARD]:
            os.close(fd)
        asked.sendall(str(pid).encode())


def _tell_ended(pipes: dict[int, int]) -> None:
    while pipes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        pipe = pipes.pop(pid)
        try:
            os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
        except BrokenPipeError:  # nobody wants to know
            pass
        finally:
            os.close(pipe)


def run(request: dict[str, Any]) -> None:
    """Be the process that was asked for: `python -m MODULE …` or `python SCRIPT …` in a folder, with an environment."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.stdin = os.fdopen(0, encoding="utf-8")
    at_once = "PYTHONUNBUFFERED" in os.environ
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", 0 if at_once else -1), encoding="utf-8", write_through=at_once)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    program, *arguments = request["command"]
    if program == "-m":
        module, *arguments = arguments
        sys.argv, sys.path[0] = [module, *arguments], request["cwd"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [program, *arguments], str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    for name in MODULES:
        importlib.import_module(name)
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
