"""What the source must not contain, and where the things are that may be in one place only."""

import ast
import re

import pytest

from tests.asvs.source import APP, calls_in, calls_of, importers_of, is_constant, trees
from tests.support.processes import ROOT

TEXT = {"", ".py", ".md", ".toml", ".txt", ".in", ".example", ".html", ".mako", ".css", ".cfg", ".ini", ".yml", ".yaml", ".json"}


@pytest.mark.asvs("V1.2.4")
def test_sql_as_text_is_constant() -> None:
    """Everything else is SQLAlchemy's expressions, whose values are bound."""
    texts = {
        "text",
        "sa.text",
        "exec_driver_sql",
        "connection.exec_driver_sql",
        "execute",
        "cursor.execute",
        "connection.execute",
    }
    loose: list[str] = []
    for path, tree in trees().items():
        for name, call in calls_in(tree):
            if (name in texts or name.endswith(".execute")) and call.args and isinstance(call.args[0], ast.JoinedStr | ast.BinOp):
                loose.append(f"{path}:{call.lineno} {ast.unparse(call)}")
    # Pragmas take no parameters; these are made of our own constants.
    assert [each for each in loose if "PRAGMA" not in each] == []
    assert all(each.startswith("app/database.py") for each in loose)


@pytest.mark.asvs("V1.2.4")
def test_raw_sql_at_the_drivers_binds_its_values() -> None:
    executed = [call for name, call in calls_in(trees()["app/infra/sessions_sqlite.py"]) if name.endswith(".execute")]
    assert executed
    for call in executed:
        assert is_constant(call.args[0]), ast.unparse(call)
    for path in ("app/infra/sessions_postgres.py", "app/infra/rotations_postgres.py"):
        statements = [
            node.value
            for node in ast.walk(trees()[path])
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "statement"
        ]
        assert statements
        assert all(is_constant(value) for value in statements), path
    sent = [name for name, _ in calls_in(trees()["app/infra/postgres_batches.py"]) if ".send_" in name or "exec" in name]
    assert sorted(sent) == ["line._pq.send_prepare", "self._pq.send_query_prepared"]  # no text of anybody's making is sent
    sent = [ast.unparse(call) for name, call in calls_in(trees()["app/wire.py"]) if ".send_" in name]
    assert sorted(set(sent)) == [
        "pq.send_prepare(new_name, text, types)",
        "pq.send_query_params(b'BEGIN', None)",
        "pq.send_query_prepared(name, dumped, formats)",
        "pq.send_query_prepared(new_name, dumped, formats)",
    ]
    assert set(importers_of("app.wire")) == {"app/statements.py"}  # whose texts SQLAlchemy makes, with places for values


@pytest.mark.asvs("V1.2.5")
def test_nothing_starts_a_program_or_a_shell() -> None:
    assert importers_of("subprocess", "pty", "commands", "multiprocessing") == {}
    assert calls_of("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "asyncio.create_subprocess_shell") == []
    assert calls_of(".create_subprocess_exec", ".create_subprocess_shell") == []


@pytest.mark.asvs("V1.2.9")
def test_no_regular_expression_is_made_of_what_was_sent() -> None:
    kinds = ("compile", "match", "fullmatch", "search", "sub", "findall", "split", "finditer")
    names = {f"re.{kind}" for kind in kinds}
    found = [
        (f"{path}:{call.lineno}", call.args[0])
        for path, tree in trees().items()
        for name, call in calls_in(tree)
        if name in names
    ]
    assert found
    assert [where for where, pattern in found if not is_constant(pattern)] == []


@pytest.mark.asvs("V1.3.2")
def test_no_string_is_run_as_code() -> None:
    assert calls_of("eval", "exec", "compile", "__import__", "importlib.import_module", ".from_string") == []
    assert importers_of("code", "codeop", "runpy") == {}


@pytest.mark.asvs("V1.5.2")
def test_bytes_from_outside_are_read_by_json_alone() -> None:
    assert importers_of("pickle", "marshal", "shelve", "yaml", "jsonpickle", "dill", "xml", "xmlrpc", "plistlib") == {}


@pytest.mark.asvs("V1.3.10")
def test_no_format_string_is_a_variable() -> None:
    """`.format` is called on constants; `%` has a constant on its left; log events are constants."""
    loose: list[str] = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mod):
                continue
            if not isinstance(node.left, ast.Constant) and not isinstance(node.right, ast.Constant):
                loose.append(f"{path}:{node.lineno} {ast.unparse(node)}")
        for name, call in calls_in(tree):
            if name.endswith(".format") and not re.fullmatch(r"[A-Z_]+\.format", name) and not is_constant(_owner(call)):
                loose.append(f"{path}:{call.lineno} {name}")
            if re.fullmatch(r"(?:access_)?log\.\w+", name) and not isinstance(call.args[0], ast.Constant):
                loose.append(f"{path}:{call.lineno} {name}")
    assert loose == []


def _owner(call: ast.Call) -> ast.expr:
    assert isinstance(call.func, ast.Attribute)
    return call.func.value


@pytest.mark.asvs("V11.2.1")
def test_cryptography_comes_from_vetted_libraries_by_way_of_few_modules() -> None:
    found = importers_of("hashlib", "hmac", "secrets", "cryptography", "joserfc", "bcrypt", "pwdlib", "argon2", "ssl")
    assert set(found) == {
        "app/auth/common_passwords.py",  # fingerprints of the list
        "app/auth/foreign.py",  # hashes that others made, to be replaced at the first login
        "app/auth/utils.py",
        "app/cli/setup.py",  # fresh secrets
        "app/core/crypto.py",
        "app/core/docs.py",  # versions of assets
        "app/infra/outbound.py",  # TLS to receivers, as the standard library has it
    }


@pytest.mark.asvs("V11.3.1", "V11.3.2")
def test_the_one_cipher_is_aes_gcm() -> None:
    from_library = importers_of("cryptography")
    assert from_library == {
        "app/core/crypto.py": {
            "cryptography.exceptions",
            "cryptography.exceptions.InvalidSignature",
            "cryptography.exceptions.InvalidTag",
            "cryptography.hazmat.primitives.asymmetric.ed25519",
            "cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey",
            "cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PublicKey",
            "cryptography.hazmat.primitives.ciphers",  # to compare with Firebase's hashes: nothing is encrypted
            "cryptography.hazmat.primitives.ciphers.Cipher",
            "cryptography.hazmat.primitives.ciphers.algorithms",
            "cryptography.hazmat.primitives.ciphers.modes",
            "cryptography.hazmat.primitives.ciphers.aead",
            "cryptography.hazmat.primitives.ciphers.aead.AESGCM",
            "cryptography.hazmat.primitives.hashes",
            "cryptography.hazmat.primitives.hashes.SHA256",
            "cryptography.hazmat.primitives.kdf.hkdf",
            "cryptography.hazmat.primitives.kdf.hkdf.HKDF",
        }
    }
    assert importers_of("joserfc.jwe", "Crypto", "nacl", "fernet") == {}
    assert [where.partition(":")[0] for where in calls_of("AESGCM")] == ["app/core/crypto.py"]
    assert [where.partition(":")[0] for where in calls_of("keystream")] == ["app/auth/foreign.py"]
    words = re.compile(r"\b(?:ECB|RSA1_5|PKCS1v15|CBC|DES3?|RC4|Blowfish)\b")
    assert [path.name for path in APP.rglob("*.py") if words.search(path.read_text())] == []


@pytest.mark.asvs("V11.4.1", "V11.4.3")
def test_hashes_are_sha256_or_longer() -> None:
    functions = re.compile(r"\b(?:hashlib\.\w+|md5|sha1|sha224|sha384|sha512|SHA1|MD5|SHA256)\b")
    found = {path.name: set(functions.findall(path.read_text())) for path in APP.rglob("*.py")}
    assert {name: used for name, used in found.items() if used} == {
        "common_passwords.py": {"hashlib.blake2b", "hashlib.sha256"},
        "crypto.py": {"hashlib.sha256", "SHA256"},
        "docs.py": {"hashlib.sha256"},
        # PBKDF2 over SHA-1 is verified where another system made it, and never made.
        "foreign.py": {"hashlib.new", "hashlib.pbkdf2_hmac", "hashlib.scrypt", "sha1", "sha512"},
        "hashes.py": {"sha1", "sha512"},
        "carrying.py": {"SHA1"},  # what every authenticator app uses (RFC 6238)
        "utils.py": {"sha384"},
    }


@pytest.mark.asvs("V11.5.1")
def test_chance_comes_from_the_systems_generator() -> None:
    assert importers_of("random", "numpy") == {}
    assert calls_of("uuid.uuid1", "uuid.uuid3", "uuid.uuid5", "uuid4", "uuid.uuid4", "os.urandom") == []
    widths = [
        (ast.unparse(call.args[0]), path)
        for path, tree in trees().items()
        for name, call in calls_in(tree)
        if name in {"secrets.token_urlsafe", "secrets.token_bytes"}
    ]
    assert widths
    assert all(int(width) >= 16 for width, _ in widths), widths


@pytest.mark.asvs("V11.2.1")
def test_secrets_are_compared_in_constant_time() -> None:
    assert [where.partition(":")[0] for where in calls_of("hmac.compare_digest")] == ["app/core/crypto.py"]
    for path in ("app/tickets/tokens.py", "app/core/paging.py"):
        tree = trees()[path]
        assert any(name == "equal" for name, _ in calls_in(tree)), path
        macs = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Compare) and re.search(r"\b(?:mac|keyed_digest|_mac)\b", ast.unparse(node))
        ]
        assert macs == []


@pytest.mark.asvs("V13.2.4")
def test_the_server_connects_to_its_database_redis_mail_server_and_receivers_alone() -> None:
    callers = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "aiohttp", "urllib.request", "http.client", "urllib3")
    # Receivers of webhooks, which staff name; none of them is called but by way of this one, which checks each address.
    assert set(importers_of(*callers, "socket", "ftplib")) == {"app/infra/outbound.py"}
    clients = importers_of("redis", "hiredis", "aiosmtplib", "psycopg", "limits.aio.storage", "smtplib")
    assert set(clients) == {
        "app/core/limits.py",
        "app/infra/postgres_batches.py",
        "app/infra/redis.py",
        "app/infra/redis_asks.py",
        "app/infra/smtp.py",
        "app/wire.py",  # on connections of the pool
    }
    opened = calls_of("asyncio.open_connection", ".create_connection", ".sock_connect")
    assert [where.partition(":")[0] for where in opened] == ["app/infra/redis_asks.py"]


@pytest.mark.asvs("V13.3.1")
def test_no_secret_is_in_the_repository() -> None:
    """But the tests, whose secrets are made up, and what a checkout does not hold."""
    folders = [ROOT / name for name in ("app", "bench", "docs", "migrations", "scripts", ".ci")]
    files = [path for folder in folders for path in folder.rglob("*")] + [
        *ROOT.glob("*.*"),
        ROOT / "Makefile",
        ROOT / ".env.example",
    ]
    files = [path for path in files if path.is_file() and path.name != ".env" and path.suffix in TEXT]
    assert len(files) > 100
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    names = "SECRET_KEY|PASSWORD_RESET_TOKEN_SECRET|SMTP_PASSWORD|REDIS_PASSWORD"
    assigned = re.compile(rf"(?:{names})\s*[=:]\s*['\"]?[A-Za-z0-9+/_-]{{20,}}|BEGIN [A-Z ]*PRIVATE KEY")
    found = [path for path in files if assigned.search(path.read_text(errors="replace"))]
    assert found == []


@pytest.mark.asvs("V6.4.2")
def test_there_are_no_hints_or_questions() -> None:
    from app.models import User

    names = {column.name for column in User.__table__.columns}
    assert not [name for name in names if re.search(r"hint|question|answer", name)]
    assert "password_hash" in names


@pytest.mark.asvs("V6.3.4")
def test_every_way_in_ends_at_the_one_place_that_asks_what_is_owed() -> None:
    """Only a change of password opens a session else, in place of one that was there; and who acts as another, from one."""
    opening = calls_of("open_session", ".open_session", "Session", "repository.add_session")
    assert sorted(where.partition(":")[0] for where in opening) == [
        "app/auth/proofs.py",
        "app/auth/sessions.py",
        "app/auth/sessions.py",
        "app/auth/steps.py",
        "app/impersonation/service.py",
        "app/impersonation/service.py",
    ]
    assert sorted(where.partition(":")[0] for where in calls_of("_open", "steps._open")) == ["app/auth/steps.py"] * 2
    assert {where.partition(":")[0] for where in calls_of("steps.enter")} == {"app/auth/service.py"}
