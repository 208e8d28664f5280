"""The migration guides, walked through: people of the real peer, or of its table, sign in here by the password they had there."""

import csv
import io
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import bcrypt
import httpx2
import psycopg
import pytest
from argon2 import PasswordHasher
from httpx2 import AsyncClient

from app.core.server import Server
from tests.cli.commands import Commands
from tests.mail.postman import rows_of
from tests.support import api
from tests.support.postgres import Cluster
from tests.support.processes import ROOT, free_port, reap_if_we_die, wait_until
from tests.support.stacks import new_name

HERE = Path(__file__).parent
GUIDES = ROOT / "docs/migrating"
ARGON2 = "$argon2id$v=19$m=65536,t=3,p=4$"


def commands_of(guide: str) -> list[list[str]]:
    """What a guide has its reader run of ours."""
    text = (GUIDES / guide).read_text(encoding="utf-8")
    found = re.findall(r"^python -m app (users import .*)$", text, re.MULTILINE)
    assert len(found) == 2
    assert "--dry-run" in found[0]
    return [line.split() for line in found]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with fastapi-users from the package index."""
    folder = tmp_path_factory.mktemp("peer")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    python = folder / "bin/python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    done = subprocess.run(
        [*install, str(HERE / "peers/fastapi-users.txt")], capture_output=True, text=True, timeout=280, check=False
    )
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip(f"the package index is out of reach: {done.stderr.strip().splitlines()[-1:]}")
    assert done.returncode == 0, done.stderr
    return python


@contextmanager
def running_peer(python: Path, file: Path) -> Iterator[httpx2.Client]:
    port = free_port()
    command = [str(python), "-m", "uvicorn", "fastapi_users_app:app", "--port", str(port), "--log-level", "error"]
    env = {"PATH": os.environ["PATH"], "PEER_FILE": str(file)}
    with subprocess.Popen(command, env=env, cwd=HERE / "peers") as process:
        reap_if_we_die(process.pid)
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                wait_until(lambda: _answers(client), "the peer", 60)
                yield client
        finally:
            process.kill()


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/openapi.json").status_code == 200
    except httpx2.TransportError:
        return False


def as_sqlite3_writes(file: Path) -> str:
    """What `sqlite3 -header -csv FILE 'SELECT * FROM user'` prints."""
    with closing(sqlite3.connect(file)) as database:
        rows = database.execute("SELECT * FROM user")
        text = io.StringIO()
        csv.writer(text).writerows([[column[0] for column in rows.description], *rows])
    return text.getvalue()


async def stored_of(server: Server, email: str) -> str:
    (row,) = [row for row in await rows_of(server, "users") if row["email"] == email]
    return str(row["password_hash"])


async def test_people_of_fastapi_users_come_over(
    peer: Path, cli: Commands, client: AsyncClient, server: Server, tmp_path: Path
) -> None:
    old = tmp_path / "old.db"
    with running_peer(peer, old) as there:
        people = {
            email: there.post("/auth/register", json={"email": email, "password": f"{api.PASSWORD}{number}"})
            for number, email in enumerate(("anna.muster@example.com", "otto@example.com"))
        }
        assert {answer.status_code for answer in people.values()} == {201}
        form = {"username": "otto@example.com", "password": f"{api.PASSWORD}1"}
        assert there.post("/auth/jwt/login", data=form).status_code == 200
    (tmp_path / "people.csv").write_text(as_sqlite3_writes(old))

    dry, real = commands_of("fastapi-users.md")
    assert (await cli.succeed(*dry)).startswith("Dry run: 2 would be added, 0 are there already, 0 would be refused.")
    assert await cli.succeed(*real) == "Added 2; 0 were there already, 0 refused.\n"
    assert (await cli.succeed(*real)).startswith("Added 0; 2 were there already")

    for number, (email, answer) in enumerate(people.items()):
        assert (await stored_of(server, email)).startswith(ARGON2)
        wrong = await client.post("/auth/login", data={"username": email, "password": "wrong"})
        assert wrong.status_code == 401
        tokens = await api.login(client, email, f"{api.PASSWORD}{number}")
        me = (await client.get("/auth/me", headers=api.bearer(tokens))).json()
        assert (me["id"], me["email"]) == (answer.json()["id"], email)
        assert (await stored_of(server, email)).startswith("$2b$04$")
    await api.login(client, "annamuster", f"{api.PASSWORD}0")


TABLE = """
CREATE TABLE "user" (
    email VARCHAR(255) NOT NULL, is_active BOOLEAN NOT NULL, is_superuser BOOLEAN NOT NULL, full_name VARCHAR(255),
    hashed_password VARCHAR NOT NULL, id UUID NOT NULL PRIMARY KEY, created_at TIMESTAMP WITH TIME ZONE
)
"""


async def test_people_of_the_full_stack_template_come_over(
    postgres: Cluster, cli: Commands, client: AsyncClient, server: Server, tmp_path: Path
) -> None:
    """Its table, with hashes of both its kinds, written out by PostgreSQL itself."""
    raw = api.PASSWORD.encode()
    hashes = {
        "anna@example.com": bcrypt.hashpw(raw, bcrypt.gensalt(12)).decode(),  # as passlib made them
        "otto@example.com": PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4).hash(raw),  # as pwdlib does
    }
    name = new_name()
    try:
        with psycopg.connect(postgres.create_database(name), autocommit=True) as database:
            database.execute(TABLE)
            for email, stored in hashes.items():
                row = (email, email.startswith("otto"), email.partition("@")[0].title(), stored)
                database.execute('INSERT INTO "user" VALUES (%s, true, %s, %s, %s, gen_random_uuid(), now())', row)
            ids = {str(email): str(user_id) for email, user_id in database.execute('SELECT email, id FROM "user"')}
            written = 'COPY (SELECT * FROM "user") TO STDOUT WITH (FORMAT csv, HEADER)'
            with database.cursor() as cursor, cursor.copy(written) as copy:
                (tmp_path / "people.csv").write_bytes(b"".join(bytes(piece) for piece in copy))
    finally:
        postgres.drop_database(name)

    dry, real = commands_of("full-stack-template.md")
    refused = await cli(*dry)
    assert (refused.code, refused.out) == (1, "Dry run: 1 would be added, 0 are there already, 1 would be refused.\n")
    assert await cli.succeed(*real) == "Added 2; 0 were there already, 0 refused.\n"
    for email, stored in hashes.items():
        assert await stored_of(server, email) == stored
        me = (await client.get("/auth/me", headers=api.bearer(await api.login(client, email)))).json()
        assert (me["id"], me["display_name"]) == (ids[email], email.partition("@")[0].title())
        assert me["role"] == ("admin" if email.startswith("otto") else "user")
        assert (await stored_of(server, email)).startswith("$2b$04$")
