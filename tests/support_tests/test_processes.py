"""The helpers that start and end processes."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.processes import free_port, kill_tree, wait_until

CHAIN = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
ORPHANING = f"""
import os, subprocess, sys
from pathlib import Path
from tests.support.processes import reap_if_we_die, remove_if_we_die
remove_if_we_die(Path(sys.argv[1]))
process = subprocess.Popen([sys.executable, "-c", {CHAIN!r}])
reap_if_we_die(process.pid)
print(process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_ports_are_handed_out_once() -> None:
    ports = {free_port() for _ in range(50)}

    assert len(ports) == 50


def test_a_tree_is_killed_whole() -> None:
    with subprocess.Popen([sys.executable, "-c", CHAIN]) as process:
        parent = psutil.Process(process.pid)
        wait_until(lambda: len(parent.children()) == 1, "child started")
        child = parent.children()[0]

        kill_tree(process.pid)

        process.wait(5)
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "child is dead")


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(TimeoutError, match="the moon"):
        wait_until(lambda: False, "the moon", timeout=0.01)


def test_servers_do_not_outlive_a_killed_test_run(tmp_path: Path) -> None:
    (folder := tmp_path / "data").mkdir()
    killed = subprocess.run([sys.executable, "-c", ORPHANING, str(folder)], check=False, capture_output=True, text=True)

    pid = int(killed.stdout)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "reaped")
    wait_until(lambda: not folder.exists(), "removed")
