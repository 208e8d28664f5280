"""Starting Authkeep from a script of the tests' own: as it is but quick to start again, or broken on purpose.

A script in `broken/` changes modules at its top level (worker processes import it again) and calls `launch()` at its end.
With QUICK_RESTARTS set the server is forked from a process that has imported everything, and forked anew whenever it dies:
a tenth of a second instead of more than one, so that dozens of kill -9 fit into a test.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from app.database import Database

CHILD = Path("child.pid")
databases: list[Database] = []  # those opened in this process, for code that breaks things


def put(owner: object, name: str, value: object) -> None:
    """Put something else in the place of a module's or a class's own."""
    assert hasattr(owner, name), f"{owner} has no {name} to be broken"
    setattr(owner, name, value)


def launch() -> NoReturn:
    """Run the command line, as `python -m app` does."""
    from app.cli.app import main

    if "QUICK_RESTARTS" in os.environ:
        _again_and_again(main)
    main()


def _again_and_again(main: Callable[[], NoReturn]) -> NoReturn:
    # Everything a server of either stack needs, once.
    import app.infra.redis
    import app.infra.sessions_postgres
    import app.infra.sessions_sqlite
    import app.main  # noqa: F401 -- loaded before the fork

    while True:
        child = os.fork()
        if child == 0:
            main()
        CHILD.with_suffix(".new").write_text(str(child))
        CHILD.with_suffix(".new").rename(CHILD)
        os.waitpid(child, 0)


def _remember_databases() -> None:
    begin = Database.__init__

    def remembering(self: Database, url: str) -> None:
        begin(self, url)
        databases.append(self)

    put(Database, "__init__", remembering)


_remember_databases()
