"""`python -m app …` as a process of its own, which sees the environment given and nothing else."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.support.forks import start
from tests.support.processes import ROOT, reap_if_we_die


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Commands:
    env: Mapping[str, str]
    folder: Path

    async def __call__(self, *arguments: str, typed: str = "", **overrides: str) -> Result:
        """Run a command with `typed` on its standard input."""
        return await asyncio.to_thread(self._run, arguments, typed, overrides)

    async def fail(self, *arguments: str, typed: str = "", code: int = 1, **overrides: str) -> str:
        """Run a command that must refuse in one line, without a traceback; returns the line."""
        result = await self(*arguments, typed=typed, **overrides)
        assert result.code == code, result
        lines = result.err.splitlines()
        assert len(lines) == 1, result.err
        assert lines[0].startswith("authkeep: ")
        assert "Traceback" not in result.out
        return lines[0]

    async def succeed(self, *arguments: str, typed: str = "", **overrides: str) -> str:
        result = await self(*arguments, typed=typed, **overrides)
        assert result.code == 0, result
        return result.out

    def _run(self, arguments: tuple[str, ...], typed: str, overrides: Mapping[str, str]) -> Result:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "200", **self.env, **overrides}
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(typed.encode())
            given.seek(0)
            started = start(["-m", "app", *arguments], env, self.folder, stdin=given, stdout=out, stderr=err)
            reap_if_we_die(started.pid)
            try:
                code = started.wait(120)
            finally:
                started.kill()
            return Result(code, _read(out), _read(err))


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
