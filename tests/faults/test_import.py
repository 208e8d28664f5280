"""kill -9 in the middle of an import: run again it goes on, nobody is there twice, and nobody without what they came with."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.faults.world import HERE, World, broken
from tests.support.processes import ROOT, reap_if_we_die, wait_until

pytestmark = pytest.mark.faults
PEOPLE, KILLS = 600, 4
SMALL_BATCHES = HERE / "small_batches.py"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def file_of(folder: Path) -> Path:
    path = folder / "people.jsonl"
    names = map("person{}".format, range(PEOPLE))
    people = [{"username": name, "email": f"{name}@example.com", "totp": SECRET} for name in names]
    path.write_text("".join(json.dumps(each) + "\n" for each in people))
    return path


@contextmanager
def importing(world: World, path: Path, launcher: Path) -> Iterator[subprocess.Popen[str]]:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **world.env}
    command = [sys.executable, str(launcher), "users", "import", str(path)]
    with subprocess.Popen(command, env=env, cwd=world.folder, stdout=subprocess.PIPE, text=True) as process:
        reap_if_we_die(process.pid)
        try:
            yield process
        finally:
            process.kill()


async def killed_again_and_again(world: World, launcher: Path) -> list[str]:
    """Import a file in runs that die; what is wrong once one came to its end."""
    path = file_of(world.folder)

    def has_added(least: int, process: subprocess.Popen[str]) -> bool:
        return process.poll() is not None or world.count("SELECT count(*) FROM users") >= least

    for number in range(1, KILLS + 1):
        with importing(world, path, launcher) as process:
            least = number * PEOPLE // (KILLS + 2)
            await asyncio.to_thread(wait_until, partial(has_added, least, process), f"{least} people", 60.0)
            assert process.poll() is None, "it came to its end before it was killed"
    left = PEOPLE - world.count("SELECT count(*) FROM users")
    with importing(world, path, launcher) as process:
        said, _ = await asyncio.to_thread(process.communicate, timeout=120)
    wrong = [] if said.startswith(f"Added {left}; {PEOPLE - left} were there already, 0 refused.") else [said]
    with importing(world, path, launcher) as process:
        said, _ = await asyncio.to_thread(process.communicate, timeout=120)
    wrong += [] if said.strip().endswith("Nothing was changed.") else [said]
    ids = world.column("SELECT id FROM users")
    if len(ids) != PEOPLE:
        wrong.append(f"{len(ids)} people")
    recorded = "SELECT subject_id FROM audit_events WHERE fact = 'user.imported'"
    for what, query in (("records", recorded), ("factors", "SELECT user_id FROM totp_factors")):
        found = Counter(world.column(query))
        wrong += [f"{found[each]} {what} for {each}" for each in ids if found[each] != 1]
    return wrong


@pytest.mark.promise("P1", "P10")
async def test_killed_again_and_again_it_goes_on_and_none_doubles(world: World) -> None:
    assert await killed_again_and_again(world, SMALL_BATCHES) == []


@pytest.mark.promise("P1", "P10")
async def test_control_an_import_that_commits_in_pieces_is_found(world: World) -> None:
    wrong = await killed_again_and_again(world, broken("imports_in_pieces"))
    assert [each for each in wrong if each.startswith("0 ")] != []
