"""Authkeep as a process at a name that browsers and cookies know, and somebody's own pages beside it."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import update

from app.auth.models import Session
from app.config import load_settings
from app.database import Database
from tests.support.processes import free_port, wait_until
from tests.support.servers import ServerProcess

FAST = {"MIGRATE_ON_START": "true", "WORKER_IN_SERVER": "false", "RATE_LIMIT_ENABLED": "false"}


@contextmanager
def authkeep(env: Mapping[str, str], folder: Path, **more: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Its address as browsers know it, and its environment."""
    port = free_port()
    url = f"http://localhost:{port}"
    full = {**env, **FAST, "PUBLIC_URL": url, "PORT": str(port), **more}
    with ServerProcess("serve", full, folder, port=port) as process:
        process.wait_ready()
        yield url, full


@contextmanager
def hosted(application: Any, port: int) -> Iterator[str]:
    """An ASGI application in a thread of its own; its address."""
    config = uvicorn.Config(application, host="127.0.0.1", port=port, log_config=None, ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, "the application listens", 20)
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


async def change_sessions(env: Mapping[str, str], **values: Any) -> None:
    """Change every session behind the server's back: the time of its proof, its end."""
    database = Database(load_settings(env, env_file=None).database_url)
    try:
        async with database.write() as db:
            await db.execute(update(Session).values(**values))
    finally:
        await database.close()
