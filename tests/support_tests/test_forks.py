"""What is forked is as if it had been started: its arguments, surroundings, end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forks import OURS, Forked, Forking, Started, can_fork, start
from tests.support.processes import ROOT, reap_if_we_die, wait_until

PLAIN = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
SAY = """
import gc, json, os, sys
print(json.dumps({
    "argv": sys.argv, "path": sys.path[0], "name": __name__, "env": dict(os.environ), "cwd": os.getcwd(),
    "given": sys.stdin.read(), "leads": os.getsid(0) == os.getpid(), "files": sorted(map(int, os.listdir("/proc/self/fd"))),
    "collecting": gc.isenabled(), "loaded": "app.main" in sys.modules,
}))
print("oops", file=sys.stderr)
"""


@pytest.fixture(params=[True, False], ids=["forked", "started"])
def forking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    wanted: bool = request.param
    monkeypatch.setattr(Forking, "wanted", wanted)
    return wanted


@pytest.fixture
def files(tmp_path: Path) -> Iterator[dict[str, Any]]:
    (tmp_path / "in").write_text("typed\n")
    with (tmp_path / "in").open("rb") as given, (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        yield {"stdin": given, "stdout": out, "stderr": err}


def begin(code: str, folder: Path, files: dict[str, Any], *arguments: str, **env: str) -> Started:
    script = folder / "script.py"
    script.write_text(code)
    process = start([str(script), *arguments], PLAIN | env, folder, **files)
    reap_if_we_die(process.pid)
    return process


def test_it_is_forked_or_started_as_is_wanted(forking: bool, tmp_path: Path, files: dict[str, Any]) -> None:
    process = begin(SAY, tmp_path, files)
    assert process.wait(60) == 0
    assert isinstance(process, Forked) is forking
    assert isinstance(process, subprocess.Popen) is not forking
    assert json.loads((tmp_path / "out").read_text())["loaded"] is forking


def test_it_has_its_own_arguments_surroundings_and_files(forking: bool, tmp_path: Path, files: dict[str, Any]) -> None:
    assert begin(SAY, tmp_path, files, "a", "b c", MARK="1").wait(60) == 0
    said = json.loads((tmp_path / "out").read_text())
    assert said["argv"] == [str(tmp_path / "script.py"), "a", "b c"]
    assert (said["path"], said["cwd"], said["name"]) == (str(tmp_path), str(tmp_path), "__main__")
    assert {name: value for name, value in said["env"].items() if name != "LC_CTYPE"} == PLAIN | {"MARK": "1"}
    assert said["given"] == "typed\n"
    assert said["leads"]
    assert said["files"][:3] == [0, 1, 2]
    assert len(said["files"]) == 4, "the fourth is the folder that is being listed"
    assert said["collecting"]
    assert (tmp_path / "err").read_text() == "oops\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [("", 0), ("import sys; sys.exit(7)", 7), ("1 / 0", 1), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9)],
    ids=["its end", "a status", "an error", "a signal"],
)
def test_its_end_is_known(forking: bool, tmp_path: Path, files: dict[str, Any], code: str, status: int) -> None:
    process = begin(code, tmp_path, files)
    assert process.wait(60) == status
    assert (process.poll(), process.wait()) == (status, status)
    assert ("ZeroDivisionError" in (tmp_path / "err").read_text()) is (status == 1)
    process.kill()  # does nothing any more


def test_it_can_be_waited_for_and_ended(forking: bool, tmp_path: Path, files: dict[str, Any]) -> None:
    waits = "import signal, atexit\natexit.register(print, 'over')\nprint('here', flush=True)\nsignal.pause()"
    process = begin(waits, tmp_path, files, PYTHONUNBUFFERED="1")
    wait_until(lambda: "here" in (tmp_path / "out").read_text(), "it runs", 60)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    assert not Path(f"/proc/{process.pid}").exists()


def test_one_does_not_change_the_next(tmp_path: Path, files: dict[str, Any]) -> None:
    leaves = "import app.main, os; app.main.MARK = os.environ['MARK'] = '1'"
    finds = "import app.main, os; assert not hasattr(app.main, 'MARK'); assert 'MARK' not in os.environ"
    assert [begin(code, tmp_path, files).wait(60) for code in (leaves, finds)] == [0, 0]


@pytest.mark.parametrize(
    ("command", "env", "same"),
    [
        (["-m", "app", "serve"], PLAIN, True),
        (["-m", "app", "serve"], PLAIN | OURS | {"DATABASE_URL": "x"}, True),
        (["-m", "app", "serve", "--workers", "2"], PLAIN, False),
        (["-m", "app", "serve"], PLAIN | {"PYTHONPATH": "/elsewhere"}, False),
        (["-m", "app", "serve"], {"PATH": ""}, False),
        (["-m", "app", "serve"], PLAIN | {"PYTHONDEVMODE": "1"}, False),
        (["-m", "app", "serve"], PLAIN | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost"}, False),
    ],
)
def test_only_what_is_the_same_is_forked(command: list[str], env: dict[str, str], same: bool) -> None:
    assert can_fork(command, env) is same


def test_who_is_forked_ends_with_the_process_that_asked(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("import signal; signal.pause()")
    code = """
import os, sys
from pathlib import Path
from tests.support.forks import Forking, start
from tests.support.processes import reap_if_we_die

Forking.wanted = True
script = Path(sys.argv[1])
with script.with_name("said").open("wb") as out:
    process = start([str(script)], dict(os.environ), script.parent, stdout=out, stderr=out)
reap_if_we_die(process.pid)
print(process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "waits.py")]
    done = subprocess.run(command, env=PLAIN, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "it is gone", 30)
