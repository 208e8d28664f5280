"""Bad settings stop the server before it serves: one line, the setting's name, never its value, not zero."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.test_settings import CANARY, GOOD
from tests.support.processes import ROOT, free_port

CASES = [
    ({}, "SECRET_KEY"),
    (GOOD | {"SECRET_KEY": CANARY}, "SECRET_KEY"),
    (GOOD | {"DATABASE_URL": f"mysql://root:{CANARY}@localhost/x"}, "DATABASE_URL"),
]


def starts() -> Iterator[tuple[list[str], dict[str, str], str]]:
    unset, weak, foreign = CASES
    yield ["-m", "app", "serve"], *unset
    yield ["-m", "app", "serve", "--workers", "2"], *weak
    yield ["-m", "app", "worker"], *foreign
    yield ["-m", "uvicorn", "app.main:app", "--port", str(free_port())], *unset
    yield ["-m", "uvicorn", "app.main:app", "--port", str(free_port())], *foreign


@pytest.mark.asvs("V13.2.3", "V16.2.5")
def test_bad_settings_stop_every_way_of_starting_with_one_line(tmp_path: Path) -> None:
    started = [
        (
            arguments,
            name,
            subprocess.Popen(
                [sys.executable, *arguments],
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **values},
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ),
        )
        for arguments, values, name in starts()
    ]
    for arguments, name, process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode != 0, arguments
        if arguments[1] == "app":
            assert process.returncode == 2, arguments
        lines = (out + err).strip().splitlines()
        assert len(lines) == 1, (arguments, out, err)
        assert lines[0].startswith(f"authkeep: {name}: "), lines
        assert CANARY not in out + err
    assert list(tmp_path.iterdir()) == []  # and nothing was made
