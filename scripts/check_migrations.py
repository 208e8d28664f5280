"""Do the migrations make exactly the tables that the models describe, and can they be taken back? On both databases.

`python -m scripts.check_migrations`: one line per database, exit 1 at the first that differs (`alembic check`, without its file).
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.pool import NullPool

from app.config import database_url
from app.infra.migrations import alembic_config, upgrade
from app.models import Base
from tests.support.postgres import Postgres


class Different(Exception):
    """Migrations and models don't agree; the message is one line."""


def engine_of(url: str) -> Engine:
    """A plain engine: nothing of the server's own takes part in the comparison."""
    parsed = make_url(url)
    return create_engine(parsed.set(drivername="sqlite") if parsed.get_backend_name() == "sqlite" else parsed, poolclass=NullPool)


def differences(connection: Connection) -> list[Any]:
    """What autogenerate would write into a new migration."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, Base.metadata))


def downgrade(url: str) -> None:
    """Take every migration back."""
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            command.downgrade(alembic_config(connection), "base")
    finally:
        engine.dispose()


def leftovers(connection: Connection) -> list[str]:
    """Tables that are there, beside Alembic's own."""
    return sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})


def check(name: str, url: str) -> str:
    """Migrate up, compare, down, up, compare.

    Raises:
        Different: what is wrong, in one line.
    """
    engine = engine_of(url)
    try:
        _step(name, "upgrade", lambda: upgrade(url))
        _compare(name, engine)
        _step(name, "downgrade to base", lambda: downgrade(url))
        with engine.connect() as connection:
            if left := leftovers(connection):
                raise Different(f"{name}: downgrade to base leaves {', '.join(left)}")
        _step(name, "upgrade after downgrade", lambda: upgrade(url))
        _compare(name, engine)
    finally:
        engine.dispose()
    return f"{name}: migrations and models agree; down to base and up again"


def _compare(name: str, engine: Engine) -> None:
    with engine.connect() as connection:
        if found := differences(connection):
            raise Different(f"{name}: {len(found)} differences between migrations and models, first: {_one_line(found[0])}")


def _step(name: str, what: str, act: Callable[[], None]) -> None:
    try:
        act()
    except Exception as error:
        raise Different(f"{name}: {what} failed: {type(error).__name__}: {_one_line(error)}") from error


def _one_line(thing: object) -> str:
    return " ".join(str(thing).split())[:300]


def main() -> int:
    """Check both; the exit status."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(check("SQLite", database_url(f"sqlite:///{Path(folder) / 'check.db'}").render_as_string()), flush=True)
        with closing(Postgres()) as server:
            url = server.cluster.create_database("authkeep_check")
            print(check("PostgreSQL", database_url(url).render_as_string(hide_password=False)), flush=True)
    except Different as error:
        print(f"check_migrations: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
