"""The README's tour: every command of it is run against a server started as the README says, and shows what it shows there."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT, free_port
from tests.support.servers import ServerProcess

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "--- block {} ---"
WAIT_SECONDS = 240  # a second or two on a machine with nothing else to do


def tour() -> list[tuple[str, str | None]]:
    """The commands of the section, block by block, each with the output shown below it."""
    section = README.partition("\n## Five minutes\n")[2].partition("\n## ")[0]
    found: list[tuple[str, str | None]] = []
    for kind, text in BLOCK.findall(section):
        if kind == "sh":
            found.append((text, None))
        else:
            assert found, "an output is shown before any command"
            assert found[-1][1] is None, "two outputs are shown for one command"
            found[-1] = (found[-1][0], text)
    return found


def script(base: str, admin_password: str) -> str:
    """The tour as one script, with the two values that are the reader's own."""
    lines = [f"echo '{MARK.format(number)}'\n{commands}" for number, (commands, _) in enumerate(tour())]
    text = "set -eu\n" + "\n".join(lines)
    for before, after in (
        ("BASE=http://localhost:8000", f"BASE={base}"),
        ("ADMIN_PASSWORD='the password that the first start printed'", f"ADMIN_PASSWORD='{admin_password}'"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    return text


def looks_like(shown: str, got: str) -> bool:
    """Whether an output is the one shown, where `…` stands for anything that is not empty."""
    return re.fullmatch(".+?".join(map(re.escape, shown.strip().split("…"))), got.strip()) is not None


@pytest.fixture
def first_run(tmp_path: Path) -> Iterator[ServerProcess]:
    """What `make run` starts, in an empty folder."""
    port = free_port()
    server = ServerProcess("serve", {"PORT": str(port)}, tmp_path / "server", port=port, arguments=("--first-run",))
    with server:
        yield server.wait_ready(120)


def test_every_command_of_the_tour_works_and_shows_what_the_readme_shows(first_run: ServerProcess) -> None:
    for program in ("bash", "curl", "python3"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    printed = re.search(r"first admin: .* password: (\S+)", first_run.logs())
    assert printed is not None, first_run.logs()
    done = subprocess.run(
        ["bash", "-c", script(f"http://localhost:{first_run.port}", printed[1])],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    outputs = re.split(r"--- block \d+ ---\n", done.stdout)[1:]
    assert len(outputs) == len(tour())
    for (commands, shown), got in zip(tour(), outputs, strict=True):
        assert looks_like(shown or "", got), f"{commands}\nshows\n{got}\nbut in the README\n{shown}"


def test_the_tour_goes_through_all_that_it_should() -> None:
    commands = "".join(text for text, _ in tour())
    wanted = ["register", "login", "me", "refresh", "forgot-password", "reset-password", "logout"]
    assert all(f"/auth/{name}" in commands for name in wanted)
    assert "/users/" in commands
    assert "/dev/mailbox.json" in commands
    assert sum(shown is not None for _, shown in tour()) >= 8


def test_the_comparison_of_outputs_refuses_what_differs() -> None:
    assert looks_like('{"id":"…","x":1}', '{"id":"abc","x":1}\n')
    assert not looks_like('{"id":"…","x":1}', '{"id":"","x":1}')
    assert not looks_like('{"id":"…","x":1}', '{"id":"abc","x":2}')
    assert not looks_like("", "something")
