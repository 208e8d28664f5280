"""What all processes of one test run share: a folder, and one PostgreSQL.

Under xdist the controller starts PostgreSQL as soon as it sets up its first worker and tells each worker where it is; without
xdist it starts when the first test asks. Either way the process that everything else descends from owns it and stops it.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Cluster, Postgres
from tests.support.processes import fast_temp, remove_if_we_die

_KEY = "authkeep_session"


class Session:
    def __init__(self, config: pytest.Config) -> None:
        told = getattr(config, "workerinput", {}).get(_KEY)
        self.is_worker = told is not None
        self.folder = Path(told["folder"]) if told else Path(tempfile.mkdtemp(prefix="authkeep-tests-", dir=fast_temp()))
        self._cluster = Cluster(told["port"], told["password"]) if told else None
        self._mine: Postgres | None = None
        if not self.is_worker:
            remove_if_we_die(self.folder)

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None:
            self._mine = Postgres()
            self._cluster = self._mine.cluster
        return self._cluster

    def tell(self, worker_input: dict[str, Any]) -> None:
        worker_input[_KEY] = {
            "folder": str(self.folder),
            "port": self.cluster.port,
            "password": self.cluster.password,
        }

    def close(self) -> None:
        if self._mine is not None:
            self._mine.close()
        if not self.is_worker:
            shutil.rmtree(self.folder, ignore_errors=True)
