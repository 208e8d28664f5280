"""One gateway a file, with Authkeep and an application behind it, all of them real."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.gateways.application import Application
from tests.gateways.gateways import Gateway, new_ports
from tests.gateways.scene import Scene
from tests.support.servers import ServerProcess
from tests.support.stacks import settings_env, sqlite_url


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The gateway that the file names, started once; a user and an admin."""
    gateway: Gateway = request.module.GATEWAY
    folder, ports = tmp_path_factory.mktemp(gateway.name), new_ports()
    database = folder / "gateways.db"
    env = settings_env(sqlite_url(database), MIGRATE_ON_START="true", TRUSTED_PROXIES="127.0.0.1", LOG_LEVEL="INFO")
    env["CORS_ORIGINS"] = "https://app.example.org"
    with (
        ServerProcess("serve", env, folder / "authkeep", port=ports.authkeep) as authkeep,
        Application(ports.application) as application,
        gateway.running(folder, ports),
    ):
        authkeep.wait_ready()
        scene = Scene(ports, authkeep, application)
        scene.user, scene.admin = scene.new_person(), scene.new_person()
        with closing(sqlite3.connect(database, timeout=10)) as db, db:
            db.execute("UPDATE users SET role = 'admin' WHERE username = ?", (scene.admin.username,))
        scene.admin = scene.login(scene.admin)
        yield scene


@pytest.fixture(autouse=True)
def _fresh(scene: Scene) -> None:
    scene.application.arrived.clear()


@pytest.fixture
def liar(scene: Scene) -> Iterator[Application]:
    """Something else in Authkeep's place, that says what it is told to."""
    scene.authkeep.kill()
    with Application(scene.ports.authkeep) as liar:
        yield liar
    scene.authkeep.start().wait_ready()
