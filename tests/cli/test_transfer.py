"""users import and users export: what they say, what they leave behind, and how they end."""

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from app.core.server import Server
from tests.auth.scene import execute
from tests.cli.commands import Commands
from tests.mail.postman import rows_of
from tests.support import api
from tests.support.processes import ROOT
from tests.transfer.scene import CHEAP, names, person


def written(folder: Path, *people: object, name: str = "people.jsonl") -> str:
    path = folder / name
    path.write_text("".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in people))
    return str(path)


async def test_people_go_out_and_come_in(cli: Commands, client: AsyncClient, server: Server, tmp_path: Path) -> None:
    file = written(tmp_path, person("alice", password_hash=CHEAP), person("bob"))
    said = await cli.succeed("users", "import", file, "--dry-run")
    assert said == "Dry run: 2 would be added, 0 are there already, 0 would be refused. Without a password: 1.\n"
    assert await names(server) == []
    assert await cli.succeed("users", "import", file) == "Added 2; 0 were there already, 0 refused. Without a password: 1.\n"
    again = await cli.succeed("users", "import", file)
    assert again == "Added 0; 2 were there already, 0 refused. Nothing was changed.\n"
    await api.login(client, "alice")
    told = [json.loads(line) for line in (await cli.succeed("users", "export")).splitlines()]
    assert [each["username"] for each in sorted(told, key=lambda each: each["username"])] == ["alice", "bob"]
    assert all("password_hash" not in each for each in told)
    out = tmp_path / "out.csv"
    assert await cli.succeed("users", "export", "--format", "csv", "--with-credentials", "--output", str(out)) == ""
    assert out.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert {row["username"] for row in rows} == {"alice", "bob"}
    assert [row["password_hash"][:4] for row in rows if row["username"] == "alice"] == ["$2b$"]
    assert await cli.succeed("users", "import", str(out)) == again
    assert "exists" in await cli.fail("users", "export", "--output", str(out))


async def test_who_is_refused_is_told_and_kept_in_a_report(cli: Commands, server: Server, tmp_path: Path) -> None:
    bad = [person(f"eve{number}", role="admin") for number in range(25)]
    file = written(tmp_path, person("alice"), *bad, "no JSON\n")
    report = tmp_path / "report.csv"
    result = await cli("users", "import", file, "--report", str(report))
    assert (result.code, result.out) == (1, "Added 1; 0 were there already, 26 refused. Without a password: 1.\n")
    lines = result.err.splitlines()
    assert lines[0] == "line 2: role: admin is more than a user is, which takes --trusted"
    assert len(lines) == 20
    kept = list(csv.reader(report.read_text(encoding="utf-8").splitlines()))
    assert kept[0] == ["line", "what", "why"]
    assert [int(row[0]) for row in kept[1:]] == list(range(2, 28))
    assert kept[-1] == ["27", "row", "this is not JSON"]
    assert report.stat().st_mode & 0o777 == 0o600
    again = await cli("users", "import", file, "--report", str(report))  # as after a run that was cut off
    assert (again.code, again.out) == (1, "Added 0; 1 were there already, 26 refused. Nothing was changed.\n")
    assert len(report.read_text(encoding="utf-8").splitlines()) == 27
    result = await cli("users", "import", file)
    assert result.err.splitlines()[-1] == "… and more: --report FILE has them all"
    assert (
        await cli("users", "import", file, "--trusted")
    ).out == "Added 25; 1 were there already, 1 refused. Without a password: 25.\n"
    assert len(await rows_of(server, "users")) == 26


async def test_a_report_is_not_written_through_a_link(cli: Commands, tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text("kept")
    link.symlink_to(kept)
    assert (await cli("users", "import", written(tmp_path, person("alice")), "--report", str(link))).code == 1
    assert kept.read_text() == "kept"


async def test_an_export_that_fails_leaves_no_file(cli: Commands, server: Server, tmp_path: Path) -> None:
    await cli.succeed("users", "import", written(tmp_path, person("alice", totp="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")))
    await execute(server, text("UPDATE totp_factors SET secret_sealed = :other"), other=b"x" * 60)
    folder = tmp_path / "out"
    folder.mkdir()
    assert (await cli("users", "export", "--with-credentials", "--output", str(folder / "people.jsonl"))).code == 1
    assert list(folder.iterdir()) == []


async def test_an_export_is_utf_8_whatever_the_terminal_speaks(cli: Commands, tmp_path: Path) -> None:
    await cli.succeed("users", "import", written(tmp_path, person("alice", display_name="\u03a9mega")))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1", **cli.env}
    command = [sys.executable, "-m", "app", "users", "export"]
    done = subprocess.run(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, check=True, timeout=120)
    assert "\u03a9mega" in done.stdout.decode("utf-8")


async def test_options_that_fit_no_file_are_refused(bare_cli: Commands, tmp_path: Path) -> None:
    """Before anything is asked of a database."""
    file = written(tmp_path, person("alice"))
    assert "fastapi-users" in await bare_cli.fail("users", "import", file, "--from", "nothing")
    assert "does not exist" in await bare_cli.fail("users", "import", str(tmp_path / "none.csv"))


async def test_a_file_that_cannot_be_read_at_all_is_refused_in_a_line(cli: Commands, tmp_path: Path) -> None:
    odd = written(tmp_path, "\n", name="odd.csv")
    assert "first row" in await cli.fail("users", "import", odd)
    realm = written(tmp_path, {"realm": "x"}, name="realm.json")
    assert '"users"' in await cli.fail("users", "import", realm, "--from", "keycloak")
    assert ".csv" in await cli.fail("users", "import", realm)
    config = written(tmp_path, "nothing", name="config.txt")
    assert "hash parameters" in await cli.fail("users", "import", realm, "--from", "firebase", "--hash-config", config)


async def test_usernames_are_derived_if_the_operator_says_so(cli: Commands, server: Server, tmp_path: Path) -> None:
    file = written(tmp_path, {"username": "anna.m", "email": "anna@example.com"})
    refused = await cli("users", "import", file)
    assert (refused.code, refused.err.startswith("line 1: username: ")) == (1, True)
    await cli.succeed("users", "import", file, "--usernames", "derive")
    assert await names(server) == ["annam"]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
async def test_a_terminal_is_shown_a_bar(cli: Commands, tmp_path: Path) -> None:
    file = written(tmp_path, *(person(f"person{number}") for number in range(5)))
    master, slave = pty.openpty()
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **cli.env}
    command = [sys.executable, "-m", "app", "users", "import", file]
    with os.fdopen(master, "rb", buffering=0) as terminal:
        done = subprocess.run(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=slave, check=True, timeout=120)
        os.close(slave)
        shown = terminal.read(4096).decode()
    assert "100%" in shown
    assert "5 rows" in shown
    assert b"\r" not in done.stdout
