"""Authkeep as a real process: started, watched, killed."""

import http.client
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.support.forks import Started, start
from tests.support.processes import ROOT, free_port, freeze_tree, reap_if_we_die, thaw_tree, wait_until

Kind = Literal["serve", "uvicorn", "worker"]


class ServerProcess:
    """`with ServerProcess("serve", env, tmp_path / "one") as server: server.wait_ready()`.

    It sees `env` and nothing else of ours, and runs in `folder`, where no .env is. `launcher` is a script to run in the place of
    `-m app`, with the same arguments: a server broken on purpose. Entering the `with` starts it (by a fork, in tests: forks.py);
    leaving kills it.
    """

    def __init__(
        self,
        kind: Kind,
        env: Mapping[str, str],
        folder: Path,
        *,
        port: int | None = None,
        launcher: str | Path | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.program = [*self._program(launcher), *arguments]
        self.env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **env}
        self._process: Started | None = None

    def _program(self, launcher: str | Path | None) -> list[str]:
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        if self.kind == "uvicorn" and launcher is None:
            return ["-m", "uvicorn", "app.main:app", *address]
        program = ["-m", "app"] if launcher is None else [str(Path(launcher).resolve())]
        return [*program, self.kind, *([] if self.kind == "worker" else address)]

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start, or start again after an end: on the same port, its logs continued."""
        assert not self.running, "already running"
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self._process = start(self.program, self.env, self.folder, stdout=out, stderr=err)
        reap_if_we_die(self._process.pid)
        return self

    def wait_live(self, timeout: float = 20) -> Self:
        return self._wait_for_page("/health/live", timeout)

    def wait_ready(self, timeout: float = 20) -> Self:
        return self._wait_for_page("/health/ready", timeout)

    def wait_for_log(self, text: str, timeout: float = 20) -> Self:
        """For a worker, which answers no requests."""
        self._wait(lambda: text in self.logs(), f"{text!r} in the log", timeout)
        return self

    def wait_exit(self, timeout: float = 20) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None, "not started"
        return self._process.wait(timeout)

    def status_of(self, path: str, timeout: float = 2) -> int | None:
        """The status of a GET, None if nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            with suppress(OSError, http.client.HTTPException):
                connection.request("GET", path)
                return connection.getresponse().status
            return None
        finally:
            connection.close()

    def _wait_for_page(self, path: str, timeout: float) -> Self:
        self._wait(lambda: self.status_of(path, min(timeout, 2)) == 200, f"200 from {path}", timeout)
        return self

    def _wait(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        def holds() -> bool:
            if condition():
                return True
            if not self.running:
                raise RuntimeError(f"{self.kind} ended with {self.wait_exit()} before {what}:\n{self.logs()}")
            return False

        try:
            wait_until(holds, what, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.logs()}") from None

    def kill(self) -> None:
        """kill -9, to it and all it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def terminate(self, timeout: float = 20) -> int:
        """Ask it to end (SIGTERM); its exit code."""
        assert self._process is not None, "not started"
        self._process.terminate()
        return self._process.wait(timeout)

    def pause(self) -> None:
        """Freeze it and all it started."""
        freeze_tree(self.pid)

    def resume(self) -> None:
        thaw_tree(self.pid)

    def logs(self) -> str:
        """All it has written, stdout first."""
        files = [self.folder / "stdout", self.folder / "stderr"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()
