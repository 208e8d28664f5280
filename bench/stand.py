"""A server to measure: a process of its own, on a fresh database with the accounts in it."""

import asyncio
import random
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.config import load_settings
from bench.contest import Contest, Field, prepare
from tests.support.postgres import Postgres
from tests.support.processes import fast_temp
from tests.support.redis import RedisServer
from tests.support.servers import ServerProcess
from tests.support.smtp import SmtpServer
from tests.support.stacks import Stack, Templates, new_name, settings_env

UNLIMITED = {
    "RATE_LIMIT_ENABLED": "false",
    "RATE_LIMIT_FORGOT_PASSWORD_ACCOUNT": "999999/minute",
    "RATE_LIMIT_RESEND_ACCOUNT": "999999/minute",
    "RATE_LIMIT_MAGIC_LINK_ACCOUNT": "999999/minute",
}
BROKEN = Path(__file__).with_name("broken_timing.py")


@dataclass(frozen=True, slots=True)
class Services:
    """What a stack keeps its data in: PostgreSQL as people run it, and Redis; or a folder. And a mail server."""

    folder: Path
    postgres: Postgres | None
    redis: RedisServer | None
    smtp: SmtpServer

    def fresh_database(self) -> str:
        """The URL of a migrated database nobody has used."""
        templates = Templates(self.folder)
        if self.postgres is None:
            return templates.copy_sqlite(self.folder / f"{secrets.token_hex(4)}.db")
        return templates.copy_postgres(self.postgres.cluster, new_name())


@contextmanager
def services(stack: Stack) -> Iterator[Services]:
    """Start what the stack needs, in memory: a disk would add noise, and noise hides differences."""
    with ExitStack() as started:
        folder = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="authkeep-bench-", dir=fast_temp())))
        postgres = started.enter_context(Postgres(fsync="on", full_page_writes="on")) if stack.postgres else None
        redis = started.enter_context(RedisServer()) if stack.redis else None
        yield Services(folder, postgres, redis, started.enter_context(SmtpServer()))


@contextmanager
def stand(
    on: Services, contests: Sequence[Contest], chance: random.Random, *, broken: bool, **env: str
) -> Iterator[tuple[ServerProcess, list[Field]]]:
    """One server process with the accounts of all these contests; `broken` tells by its time who has one."""
    variables = settings_env(on.fresh_database(), redis=on.redis, smtp=on.smtp) | UNLIMITED | env
    settings = load_settings(variables, env_file=None)
    hashes: dict[str, str] = {}

    async def prepare_all() -> list[Field]:
        return [await prepare(contest, settings, chance, hashes) for contest in contests]

    fields = asyncio.run(prepare_all())
    folder = on.folder / secrets.token_hex(4)
    with ServerProcess("serve", variables, folder, launcher=BROKEN if broken else None) as server:
        server.wait_ready()
        yield server, fields
        server.terminate()
