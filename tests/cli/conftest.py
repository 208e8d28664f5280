"""The command line on the test's stack."""

from pathlib import Path

import pytest

from tests.cli.commands import Commands


@pytest.fixture
def cli(env: dict[str, str], tmp_path: Path) -> Commands:
    return Commands(env, tmp_path)


@pytest.fixture
def bare_cli(tmp_path: Path) -> Commands:
    """In an empty folder, with an empty environment."""
    return Commands({}, tmp_path)
