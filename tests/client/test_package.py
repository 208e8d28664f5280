"""The client as a package of its own: built without a network, and imported from the wheel alone."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.support.processes import ROOT

SOURCE = ROOT / "clients" / "python"
BUILD = """
import sys, setuptools.build_meta as backend
print(getattr(backend, "build_" + sys.argv[1])(sys.argv[2]))
"""
USE = """
import sys
sys.path.insert(0, sys.argv[1])
import authkeep_client
assert authkeep_client.__file__.startswith(sys.argv[1]), authkeep_client.__file__
assert not [name for name in sys.modules if name == "app" or name.startswith("app.")]
print(authkeep_client.Authkeep("https://auth.example.com", cache_seconds=5) is not None)
"""


def run(program: str, *arguments: str | Path, folder: Path) -> str:
    command = [sys.executable, "-I", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_the_wheel_made_of_the_sdist_has_all_and_works_alone(tmp_path: Path) -> None:
    tree, made = tmp_path / "tree", tmp_path / "made"
    shutil.copytree(SOURCE, tree, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    sdist = made / run(BUILD, "sdist", made, folder=tree)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    wheel = made / run(BUILD, "wheel", made, folder=unpacked)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "wheel")
        names = set(archive.namelist())
    assert wheel.name == "authkeep_client-0.1.0-py3-none-any.whl"
    sources = {f"authkeep_client/{path.name}" for path in (SOURCE / "authkeep_client").iterdir() if path.is_file()}
    assert "authkeep_client/py.typed" in sources
    assert {name for name in names if ".dist-info/" not in name} == sources
    metadata = (tmp_path / "wheel" / "authkeep_client-0.1.0.dist-info" / "METADATA").read_text()
    for line in ("Requires-Python: >=3.11", "License-Expression: MIT", "License-File: LICENSE"):
        assert line in metadata
    wanted = [line.removeprefix("Requires-Dist: ") for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert [name.partition(">")[0] for name in wanted] == ["fastapi", "httpx2"]
    assert run(USE, tmp_path / "wheel", folder=tmp_path) == "True"
