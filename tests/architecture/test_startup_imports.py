"""What a start does not load: the other stack's drivers, and what is first needed later. Never timed; names alone."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

from app.infra.memory import THRESHOLDS
from tests.support.processes import ROOT, free_port
from tests.support.stacks import Stack

# By the first migration, page, mail, name, passkey, QR code, strange token, webhook, progress bar.
LATER = {"alembic", "mako", "jinja2", "aiosmtplib", "ua_parser", "maxminddb", "webauthn", "segno", "joserfc", "httpcore2", "rich"}
# By METRICS_PORT and OTEL_….
ASKED_FOR = {"prometheus_client", "app.metrics.scraping", "app.infra.traces", "opentelemetry.sdk", "opentelemetry.exporter"}
COMMANDS = {"typer", "app.cli"}
APPLICATION = {"fastapi", "sqlalchemy.orm", "app.main", "app.assembly", "app.auth"}
POSTGRES = {"psycopg", "psycopg_binary", "app.infra.sessions_postgres"}
SQLITE = {"aiosqlite", "app.infra.sessions_sqlite"}
REDIS = {"redis", "app.infra.redis"}
TOOLS = {"pytest", "hypothesis", "schemathesis", "playwright", "httpx2", "mypy"}
AS_USUAL = {"SMTP_HOST": "", "EMAIL_FROM": "", "MIGRATE_ON_START": "true", "WORKER_IN_SERVER": "true"}

# Each prints the names of all modules that are loaded at its end.
SAY = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
CREATE = "from app.config import load_settings; from app.main import create_app; create_app(load_settings())"
START = """
import asyncio
from app.main import app

async def run():
    async with app.router.lifespan_context(app):
        assert app.state.server.problem is None

asyncio.run(run())
"""


def loaded_by(code: str, env: Mapping[str, str], folder: Path) -> set[str]:
    """The modules, and the packages they are in, that a fresh interpreter has loaded after running `code`."""
    result = subprocess.run(
        [sys.executable, "-c", code + SAY],
        env={"PYTHONPATH": str(ROOT), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[str] = json.loads(result.stdout.splitlines()[-1])
    return {".".join(parts[:size]) for name in found for parts in [name.split(".")] for size in range(1, len(parts) + 1)}


@pytest.mark.parametrize("code", [CREATE, START], ids=["create_app", "until it is ready"])
def test_a_start_loads_its_own_stack_and_nothing_for_later(env: dict[str, str], stack: Stack, tmp_path: Path, code: str) -> None:
    loaded = loaded_by(code, env | AS_USUAL, tmp_path)
    assert loaded >= APPLICATION
    assert (POSTGRES & loaded, SQLITE & loaded) == ((POSTGRES, set()) if stack.postgres else (set(), SQLITE))
    assert REDIS & loaded == (REDIS if stack.redis else set())
    assert loaded & (LATER | COMMANDS | TOOLS | ASKED_FOR) == set()


def test_what_there_is_to_migrate_and_to_mail_by_is_loaded_and_seen(env: dict[str, str], tmp_path: Path) -> None:
    """The control. A start on an empty database is ready once it has migrated it."""
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    mail = {name: value for name, value in env.items() if name in {"SMTP_HOST", "EMAIL_FROM"}}
    loaded = loaded_by(START, env | AS_USUAL | mail | {"DATABASE_URL": empty}, tmp_path)
    assert {"alembic", "aiosmtplib"} <= loaded
    assert "jinja2" not in loaded


def test_what_metrics_and_traces_are_made_by_is_loaded_where_they_are_asked_for(env: dict[str, str], tmp_path: Path) -> None:
    asked = {"METRICS_PORT": str(free_port()), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert loaded_by(START, env | AS_USUAL | asked, tmp_path) >= ASKED_FOR


def test_the_command_line_loads_no_application_before_a_command_runs(tmp_path: Path) -> None:
    """So the supervisor of several workers stays small, and bad settings are said at once."""
    loaded = loaded_by("import app.cli.app", {}, tmp_path)
    assert loaded >= COMMANDS
    assert loaded & (APPLICATION | LATER | POSTGRES | SQLITE | REDIS) == set()


def test_a_worker_of_several_loads_no_command_line(tmp_path: Path) -> None:
    """Each imports the module that was run (`python -m app`) once more, by another name."""
    assert loaded_by("import app.__main__", {}, tmp_path) & COMMANDS == set()


def test_the_installed_command_is_the_command_line() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["authkeep"].partition(":")
    assert getattr(import_module(module), name) is import_module("app.cli.app").main


@pytest.mark.parametrize(
    ("code", "after"),
    [
        ("import app.main", None),
        (START, THRESHOLDS),
        ("import sys; sys.argv[1:] = ['--help']\nfrom app.cli.app import main\ntry: main()\nexcept SystemExit: pass", THRESHOLDS),
    ],
    ids=["loaded", "ready", "command"],
)
def test_nobody_looks_for_garbage_until_all_is_loaded(
    env: dict[str, str], tmp_path: Path, code: str, after: tuple[int, ...] | None
) -> None:
    say = "\nimport gc, json; print(json.dumps([gc.get_threshold(), gc.get_stats()[1]['collections']]))"
    result = subprocess.run(
        [sys.executable, "-c", code + say],
        env={"PYTHONPATH": str(ROOT), **env, **AS_USUAL},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    threshold, looks = json.loads(result.stdout.splitlines()[-1])
    if after is None:
        assert threshold[0] > 1_000_000
        assert looks <= 2  # what Python itself loads comes before
    else:
        assert tuple(threshold) == after
