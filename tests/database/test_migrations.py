"""Migrations: up, down and up again on both databases, no drift from the models, safe when several processes start at once."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Column, Connection, Integer, MetaData, Table, inspect, text

from app.config import database_url
from app.infra import migrations
from app.infra.migrations import alembic_config, is_current, newest, upgrade
from app.models import Base
from scripts import check_migrations
from scripts.check_migrations import Different, differences, downgrade, engine_of, leftovers
from tests.support.processes import ROOT
from tests.support.stacks import Stack, settings_env


@pytest.fixture
def url(empty_database: str) -> str:
    return database_url(empty_database).render_as_string(hide_password=False)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def test_migrations_go_up_down_and_up_again(url: str) -> None:
    upgrade(url)
    assert is_current(url)
    with connected(url) as connection:
        assert leftovers(connection) == sorted(Base.metadata.tables)
    downgrade(url)
    assert not is_current(url)
    with connected(url) as connection:
        assert leftovers(connection) == []
    upgrade(url)
    assert is_current(url)
    with connected(url) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [newest()]


def test_the_migrated_tables_are_those_of_the_models(url: str) -> None:
    upgrade(url)
    with connected(url) as connection:
        assert differences(connection) == []


def test_indexes_and_unique_rules_of_the_models_are_there(url: str) -> None:
    upgrade(url)
    with connected(url) as connection:
        found = inspect(connection)
        for table in Base.metadata.tables.values():
            names = {index["name"] for index in found.get_indexes(table.name)}
            assert {str(index.name) for index in table.indexes} <= names, table.name


def test_drift_is_found(url: str) -> None:
    """The control: an extra column, a missing table, a missing index."""
    upgrade(url)
    with connected(url) as connection:
        connection.execute(text("ALTER TABLE users ADD COLUMN forgotten INTEGER"))
        connection.execute(text("DROP TABLE dev_mails"))
        connection.execute(text("DROP INDEX ix_jobs_run_at"))
        found = str(differences(connection))
    assert "forgotten" in found
    assert "dev_mails" in found
    assert "ix_jobs_run_at" in found


def test_the_check_says_in_one_line_what_differs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_migrations.check("here", url) == "here: migrations and models agree; down to base and up again"
    model = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.tables.values():
        table.to_metadata(model)
    Table("not_migrated", model, Column("id", Integer, primary_key=True))
    monkeypatch.setattr(check_migrations, "Base", type("Models", (), {"metadata": model}))
    with pytest.raises(Different, match=r"^here: 1 differences .*not_migrated") as caught:
        check_migrations.check("here", url)
    assert "\n" not in str(caught.value)


def test_migrating_again_changes_nothing(url: str) -> None:
    upgrade(url)
    upgrade(url)
    assert is_current(url)


def test_the_newest_migration_is_the_one_alembic_would_name() -> None:
    assert [newest()] == ScriptDirectory.from_config(alembic_config()).get_heads()


def write_migration(folder: Path, revision: str, after: object) -> None:
    text = f'"""A step"""\n\nrevision = {revision!r}\ndown_revision = {after!r}\n\n\ndef upgrade() -> None:\n    pass\n'
    (folder / "versions" / f"{revision}_step.py").write_text(text)


def test_the_newest_is_found_whatever_revisions_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked against Alembic's own answer: a chain, a fork, and the merge of its ends."""
    (tmp_path / "versions").mkdir()
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path)
    scripts = alembic_config()
    write_migration(tmp_path, "f00d", None)
    write_migration(tmp_path, "0bad", "f00d")
    assert [newest()] == ["0bad"] == ScriptDirectory.from_config(scripts).get_heads()
    write_migration(tmp_path, "beef", "f00d")
    assert len(ScriptDirectory.from_config(scripts).get_heads()) == 2
    with pytest.raises(LookupError, match="one newest migration, not 2"):
        newest()
    write_migration(tmp_path, "aaaa", ("0bad", "beef"))
    assert [newest()] == ["aaaa"] == ScriptDirectory.from_config(scripts).get_heads()


def test_a_database_of_a_revision_unknown_here_is_not_current_and_not_touched(url: str) -> None:
    """As after going back to an older release."""
    upgrade(url)
    with connected(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
        connection.commit()
    assert not is_current(url)
    with pytest.raises(CommandError, match="from_the_future"):
        upgrade(url)


def test_several_processes_may_migrate_at_once(url: str, empty_database: str, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), **settings_env(empty_database)}

    def migrate(_number: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", "migrate"],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(migrate, range(4)))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 4
    assert is_current(url)
    with connected(url) as connection:
        assert differences(connection) == []


def test_a_new_file_is_its_owners_alone(url: str, stack: Stack) -> None:
    upgrade(url)
    with connected(url) as connection:
        assert "users" in leftovers(connection)
    if not stack.postgres:
        file = Path(url.partition(":///")[2])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
