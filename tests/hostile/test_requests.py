"""Queries, paths, headers, cookies and user agents that nobody means well with: no 5xx, no echo, one clean log line each."""

import asyncio
import io
import json
import re

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from app.core.server import Server
from app.models import AuditEvent, Session
from tests.hostile.checks import MEDIA_TYPE, PAGE, wrong_with
from tests.hostile.raw import JSON as JSON_HEADER
from tests.hostile.raw import send
from tests.hostile.surface import CANARY, operations
from tests.support import api

pytestmark = pytest.mark.env(LOG_LEVEL="DEBUG")

QUERY_VALUES = [
    b"",
    b"%00",
    b"a%00" + CANARY.encode(),
    b"%ed%a0%80" + CANARY.encode(),
    b"%ff%fe" + CANARY.encode(),
    b"%u0061",
    b"%",
    b"%zz",
    b"%2561",
    b"NaN",
    b"Infinity",
    b"-1",
    b"0",
    b"1e400",
    b"9" * 30,
    b"9" * 5000,
    b"1.5",
    b"true",
    b"null",
    b"[]",
    b"%0d%0aSet-Cookie:%20a=b",
    b"'%20OR%201=1--" + CANARY.encode(),
    b"%25%5f%2a%28%5b" + CANARY.encode(),
    b"{{7*7}}" + CANARY.encode(),
    b"<script>" + CANARY.encode(),
    b"x" * 8_000 + CANARY.encode(),
    "\u202e\U0001f511".encode(),
    b"\xff\xfe\x00",
    b"a&b=" + CANARY.encode(),
]


@pytest.mark.asvs("V1.1.1", "V1.2.4", "V1.2.9", "V1.4.2")
async def test_no_query_makes_a_crash_or_is_shown(app: FastAPI, client: AsyncClient, log: io.StringIO) -> None:
    admin = await api.new_admin(app, client)
    authorization = [(b"authorization", admin.headers["Authorization"].encode())]
    wrong = []
    queried = [operation for operation in operations(app) if operation.query]
    assert queried
    for operation in queried:
        for name in operation.query:
            for value in QUERY_VALUES:
                key = name.encode()
                for query in (
                    key + b"=" + value,
                    key + b"=1&" + key + b"=" + value,
                    key + b"[]=" + value,
                    value + b"=" + key,
                    value,
                ):
                    answer = await send(app, operation.method, operation.path.encode(), query=query, headers=authorization)
                    if fault := wrong_with(answer):
                        wrong.append(f"{operation} ?{query[:60]!r}: {fault}")
    assert wrong == []
    assert CANARY not in log.getvalue()


async def test_no_query_anywhere_is_a_problem(app: FastAPI, log: io.StringIO) -> None:
    for operation in operations(app):
        path = operation.url_of_nothing().encode()
        for query in (b"token=" + CANARY.encode(), b"\xff\xfe\x00" + CANARY.encode(), b"&" * 5_000, b"=" * 5_000, b"a=%"):
            answer = await send(app, operation.method, path, query=query)
            assert wrong_with(answer) is None, (str(operation), query[:20])
    assert CANARY not in log.getvalue()


MIGHT_BE_IDS = {"/auth/passkeys/options", "/users/bulk", "/users/invitations"}  # to a route that takes one in this place


@pytest.mark.asvs("V1.4.2", "V2.2.1")
async def test_limits_and_choices_of_a_listing_are_checked(client: AsyncClient, app: FastAPI) -> None:
    admin = await api.new_admin(app, client)
    for query in (
        "limit=-1",
        "limit=0",
        "limit=101",
        "limit=1e2",
        "sort=password_hash",
        "sort=--email",
        "role=root",
        "active=perhaps",
        "cursor=x",
    ):
        answer = await client.get(f"/users/?{query}", headers=admin.headers)
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["loc"][:2] == ["query", query.partition("=")[0]]


IDS = [
    b"x",
    b"0",
    b"-1",
    b"9" * 5000,
    b"00000000-0000-0000-0000-000000000000",
    b"ffffffff-ffff-ffff-ffff-ffffffffffff",
    b"{00000000-0000-0000-0000-000000000000}",
    b"urn:uuid:00000000-0000-0000-0000-000000000000",
    b"00000000000000000000000000000000",
    b"0" * 32 + CANARY.encode(),
    b"%00",
    b"%ff%fe",
    b"%ed%a0%80",
    b"..",
    b"%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    b".%00./" + CANARY.encode(),
    b"%0d%0a" + CANARY.encode(),
    b"'%20OR%201=1--" + CANARY.encode(),
    b"<script>" + CANARY.encode(),
    b"*",
    b"%25",
    b"NaN",
    "０".encode() * 32,
    b"\xff\xfe",
    b"x" * 8_000 + CANARY.encode(),
]


async def test_no_id_in_a_path_makes_a_crash_or_is_shown(app: FastAPI, client: AsyncClient, log: io.StringIO) -> None:
    admin = await api.new_admin(app, client)
    headers = [(b"authorization", admin.headers["Authorization"].encode()), JSON_HEADER]
    wrong = []
    with_ids = [operation for operation in operations(app) if operation.in_path]
    assert len(with_ids) >= 5
    for operation in with_ids:
        body = json.dumps(operation.good_body()).encode() if operation.content else b""
        for raw in IDS:
            path = re.sub(rb"{\w+}", lambda _, raw=raw: raw, operation.path.encode())  # type: ignore[misc]  # mypy knows no defaults of lambdas
            answer = await send(app, operation.method, path, headers=headers, body=body)
            fault = wrong_with(answer, ok=False)
            if fault or answer.status not in {404, 405, 422}:
                wrong.append(f"{operation} {raw[:40]!r}: {fault or answer.status}")
    assert wrong == []
    assert CANARY not in log.getvalue()


PATHS = [b"", b"//", b"///", b"/%00", b"/%ff", b"/auth//me", b"/auth/me//", b"//auth/me", b"/auth/%2e%2e/users"]
PATHS += [b"/auth/me%2f", b"/AUTH/ME", b"/static/", b"/static/..", b"/static/%2e%2e%2fmain.py", b"/static//etc/passwd"]
PATHS += [b"/docs/assets/..%2f..%2fmain.py", b"/.git/HEAD", b"/.env", b"/.svn/entries", b"/.hg", b"/metrics", b"/debug"]
PATHS += [b"/" + CANARY.encode(), b"/x" * 4_000, b"/\xff\xfe", b"/\r\n", b"*", b"/static", b"/docs/assets/"]
PATHS += [b"/reset/" + CANARY.encode() + b"@example.com", b"/account/reset-password/" + CANARY.encode()]


@pytest.mark.asvs("V13.4.1", "V13.4.3")
async def test_no_path_makes_a_crash_or_shows_files(app: FastAPI, log: io.StringIO) -> None:
    for path in PATHS:
        for method in ("GET", "POST"):
            answer = await send(app, method, path)
            assert answer.status < 500, (path, answer.text)
            assert answer.status not in {301, 302, 307, 308}, path
            assert "def create_app" not in answer.text
            assert "root:" not in answer.text
            if answer.status >= 400:
                page = path.startswith(b"/account/")
                assert wrong_with(answer, ok=False, media_type=PAGE if page else MEDIA_TYPE) is None, path
    for path in (b"/.git/HEAD", b"/.env", b"/static/", b"/static", b"/static/..", b"/docs/assets/", b"/static/%2e%2e%2fmain.py"):
        assert (await send(app, "GET", path)).status == 404, path
    assert CANARY not in log.getvalue()


@pytest.mark.asvs("V13.4.4")
async def test_methods_that_no_route_has_are_refused(app: FastAPI, log: io.StringIO) -> None:
    methods = ["TRACE", "CONNECT", "PATCH", "PROPFIND", "", "get", "G" * 5_000, "PRI"]
    routed = {(operation.method, operation.path) for operation in operations(app)}
    for operation in operations(app):
        if operation.path == "/auth/verify":  # a gateway may ask it by any method
            continue
        path = operation.url_of_nothing().encode()
        for method in methods:
            if (method, operation.path) in routed or (method == "PATCH" and operation.path in MIGHT_BE_IDS):
                continue
            answer = await send(app, method, path, body=b"")
            assert answer.status == 405, (method[:10], str(operation))
            assert wrong_with(answer, ok=False) is None
            assert answer.header("allow"), str(operation)
    assert CANARY not in log.getvalue().lower()


# Without a token they look for a login's attempt in the body, so they want one first; tests/mfa and tests/passkeys send it.
OR_BY_ATTEMPT = {
    "POST /auth/mfa/totp",
    "POST /auth/mfa/totp/confirm",
    "POST /auth/passkeys",
    "POST /auth/passkeys/options",
}
AUTHORIZATIONS: list[list[bytes]] = [
    [b""],
    [b"Bearer"],
    [b"Bearer "],
    [b"Bearer  x"],
    [b"bearer " + CANARY.encode()],
    [b"BEARER a.b.c" + CANARY.encode()],
    [b"Bearer a b " + CANARY.encode()],
    [b"Basic " + CANARY.encode()],
    [b"Digest username=" + CANARY.encode()],
    [b"Bearer \x00" + CANARY.encode()],
    [b"Bearer \xff\xfe" + CANARY.encode()],
    ["Bearer é.ü.ß".encode()],
    [b"Bearer " + b"a" * 60_000],
    [b"Bearer " + b"." * 60_000],
    [b"Bearer e30.e30." + CANARY.encode()],
    [b"Bearer eyJhbGciOiJub25lIn0.e30."],
    [b"Bearer eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiYSJdfQ.e30.AAAA"],
    [b"Bearer eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2V9.e30.AAAA"],
    [b"Bearer W10.W10.W10"],
    [b"Bearer bnVsbA.bnVsbA.bnVsbA"],
    [b"Bearer " + b"W1" * 20_000 + b".e30.AAAA"],
    [b"Bearer one" + CANARY.encode(), b"Bearer two" + CANARY.encode()],
    [CANARY.encode() * 100],
]


@pytest.mark.asvs("V1.5.2", "V16.2.5")
async def test_no_authorization_header_makes_a_crash_or_lets_in(app: FastAPI, log: io.StringIO) -> None:
    wrong = []
    closed = [operation for operation in operations(app) if operation.signed_in and str(operation) not in OR_BY_ATTEMPT]
    assert len(closed) >= 10
    for operation in closed:
        path = operation.url_of_nothing().encode()
        for values in AUTHORIZATIONS:
            headers = [(b"authorization", value) for value in values]
            answer = await send(app, operation.method, path, headers=headers)
            fault = wrong_with(answer, ok=False)
            if fault or answer.status != 401 or not (answer.header("www-authenticate") or "").startswith("Bearer"):
                wrong.append(f"{operation} {values[0][:40]!r}: {fault or answer.status}")
    assert wrong == []
    assert CANARY not in log.getvalue()


async def test_of_two_authorization_headers_neither_a_bad_first_nor_a_join_lets_in(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    good = user.headers["Authorization"].encode()
    bad_first = await send(app, "GET", b"/auth/me", headers=[(b"authorization", b"Bearer x"), (b"authorization", good)])
    joined = await send(app, "GET", b"/auth/me", headers=[(b"authorization", b"Bearer x, " + good)])
    assert (bad_first.status, joined.status) == (401, 401)


HEADERS: list[tuple[bytes, bytes]] = [
    (b"host", b""),
    (b"host", b"evil.example\r\n"),
    (b"host", b"\xff\xfe"),
    (b"host", b"[::1"),
    (b"host", b"a:b:c"),
    (b"host", b"localhost:99999999"),
    (b"origin", b"\xff\x00"),
    (b"origin", b"null"),
    (b"accept", b"*/*;q=\xff"),
    (b"accept", b"a" * 20_000),
    (b"x-forwarded-for", b"\xff, " * 5_000),
    (b"x-forwarded-for", b"a" * 20_000),
    (b"x-forwarded-host", b"evil.example"),
    (b"x-forwarded-proto", b"javascript"),
    (b"forwarded", b"for=" + CANARY.encode()),
    (b"x-request-id", CANARY.encode() + b"\r\n"),
    (b"range", b"bytes=0-0,-1,99999999999999999999-"),
    (b"if-none-match", b"\xff"),
    (b"if-modified-since", b"never"),
    (b"expect", b"200-maybe"),
    (b"upgrade", b"websocket"),
    (b"transfer-encoding", b"chunked, identity"),
    (b"te", b"trailers"),
    (b"cookie", b"\xff\xfe=\x00; " + CANARY.encode()),
    (b"cookie", b"authkeep-device=" + b"a" * 20_000),
    (b"cookie", b"authkeep-device=%00%ff" + CANARY.encode()),
    (b"cookie", b"; " * 5_000),
    (b"cookie", b'authkeep-device="\\000\\377' + CANARY.encode()),
    (b"access-control-request-method", b"\xff"),
    (b"user-agent", b"\x00\x1b[31m\r\n" + CANARY.encode()),
    (b"user-agent", b"\xff" * 20_000),
    (b"user-agent", b""),
    (b"x-" + b"a" * 5_000, CANARY.encode()),
]


async def test_no_header_makes_a_crash_or_is_shown(app: FastAPI, log: io.StringIO) -> None:
    body = json.dumps({"username": "nobody", "password": "x"}).encode()
    for header in HEADERS:
        for method, path, sent in (
            ("GET", b"/", b""),
            ("GET", b"/auth/me", b""),
            ("GET", b"/docs", b""),
            ("GET", b"/dev/mailbox", b""),
            ("GET", b"/static/authkeep.css", b""),
            ("GET", b"/nowhere", b""),
            ("OPTIONS", b"/auth/login", b""),
            ("POST", b"/auth/login", body),
        ):
            answer = await send(app, method, path, headers=[JSON_HEADER, header], body=sent)
            assert answer.status < 500, (header[0], header[1][:30], path, answer.text)
            assert CANARY not in answer.text, (header, path)
            assert not any(CANARY.encode() in value or b"\r" in value or b"\n" in value for _, value in answer.headers)
    assert CANARY not in log.getvalue()


AGENTS = [
    b"%s%n{0.__class__}{{7*7}}",
    b"\x1b[2J\x1b[1;31mroot\x07",
    b'"}\n{"event": "forged", "level": "critical"}',
    b"a\r\nX-Injected: yes",
    b"\x00\x01\x7f\x80\x9b",
    b"\xff\xfe\xed\xa0\x80",
    "\u202e\u2028\u2029\U0001f511".encode(),
    b"<script>alert(1)</script>",
    b"'; DROP TABLE sessions; --",
    b"A" * 100_000,
]


@pytest.mark.asvs("V1.3.3", "V1.3.10", "V16.4.1")
async def test_a_hostile_user_agent_signs_in_and_is_kept_harmless(app: FastAPI, client: AsyncClient, server: Server) -> None:
    user = await api.register(client)
    body = json.dumps({"username": user["username"], "password": api.PASSWORD}).encode()
    for agent in AGENTS:
        answer = await send(app, "POST", b"/auth/login", headers=[JSON_HEADER, (b"user-agent", agent)], body=body)
        assert answer.status == 200, (agent[:30], answer.text)
    tokens = answer.json()
    listed = await client.get("/auth/sessions", headers=api.bearer(tokens))
    assert len(listed.json()) == len(AGENTS)
    async with server.database.read() as db:
        agents = [*await db.scalars(select(Session.user_agent)), *await db.scalars(select(AuditEvent.user_agent))]
    assert all(agent.isprintable() and len(agent) <= 256 for agent in agents)
    assert "%s%n{0.__class__}{{7*7}}" in agents


@pytest.mark.asvs("V1.3.10", "V16.4.1")
@pytest.mark.env(ENVIRONMENT="production", BCRYPT_ROUNDS="10", PUBLIC_URL="https://auth.example.com")
async def test_each_log_line_in_production_is_one_json_object(app: FastAPI, client: AsyncClient, log: io.StringIO) -> None:
    for hostile in ('a"}\n{"event": "forged"}', "a\r\nb", "\x1b[31m", "%s%n{0.__class__}", "\u2028"):
        agent = hostile.encode()
        body = json.dumps({"username": hostile, "password": hostile}).encode()
        for path in (b"/auth/login", b"/" + hostile.replace("%", "%25").encode()):
            await send(app, "POST", path, headers=[JSON_HEADER, (b"user-agent", agent), (b"x-request-id", agent)], body=body)
    await asyncio.sleep(0)  # the lines of a turn of the loop are written at its end
    lines = log.getvalue().splitlines()
    assert len(lines) >= 10
    for line in lines:
        entry = json.loads(line)
        assert entry["event"] != "forged"
        assert entry["timestamp"].endswith("Z")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
