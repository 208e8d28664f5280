"""Every answer of Authkeep, and of what is not Authkeep: let in for one of them, refused for all others."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import httpx2
import pytest

import authkeep_client.client
from authkeep_client import Authkeep, User
from authkeep_client.client import MAX_BODY, MAX_TOKEN
from tests.client.scripted import Headers, Scripted, asking, bearer, identity, service_of
from tests.support.processes import free_port
from tests.support.proxy import TcpProxy

URL = "https://auth.example.com"


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
async def client(scripted: Scripted) -> AsyncIterator[httpx2.AsyncClient]:
    """Of a service that asks the scripted server."""
    async with asking(Authkeep(URL, transport=httpx2.ASGITransport(scripted))) as client:
        yield client


async def test_a_yes_is_somebody(client: httpx2.AsyncClient, scripted: Scripted) -> None:
    scripted.answer = 204, identity(roles="user,admin")
    answer = await client.get("/me", headers=bearer("a.b.c"))
    headers = dict(scripted.answer[1])
    assert answer.json() == {
        "id": headers["X-Auth-User"],
        "username": "alice",
        "roles": ["admin", "user"],
        "session_id": headers["X-Auth-Session"],
    }


async def test_the_token_is_all_that_is_sent(client: httpx2.AsyncClient, scripted: Scripted) -> None:
    scripted.answer = 204, [*identity(), ("Set-Cookie", "a=b; Path=/")]
    sent = {**bearer("a.b.c"), "Cookie": "session=x", "X-Api-Key": "y", "X-Forwarded-For": "1.2.3.4"}
    for _ in range(2):
        assert (await client.post("/me?a=b", headers=sent, content=b"body")).status_code == 405
        assert (await client.get("/me?a=b", headers=sent)).status_code == 200
    assert len(scripted.asked) == 2
    for asked in scripted.asked:
        assert (asked["method"], asked["path"], asked["query_string"]) == ("GET", "/auth/verify", b"")
        headers = dict(asked["headers"])
        assert set(headers) <= {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent", b"authorization"}
        assert (headers[b"host"], headers[b"authorization"]) == (b"auth.example.com", b"Bearer a.b.c")


NEVER_SENT = [
    [],
    [("Authorization", "")],
    [("Authorization", "Bearer")],
    [("Authorization", "Bearer ")],
    [("Authorization", "a.b.c")],
    [("Authorization", "Basic a.b.c")],
    [("Authorization", "Bearer a.b.c d")],
    [("Authorization", "Bearer a\tb")],
    [("Authorization", "Bearer a\r\nX-Injected: 1")],
    [("Authorization", "Bearer a\x00b")],
    [("Authorization", "Bearer a\x7fb")],
    [("Authorization", "Bearer a\u00e9")],
    [("Authorization", "Bearer a,Bearer b")],
    [("Authorization", "Bearer " + "a" * (MAX_TOKEN + 1))],
    [("Authorization", "Bearer a.b.c"), ("Authorization", "Bearer a.b.c")],
    [("Cookie", "access_token=a.b.c")],
]


@pytest.mark.parametrize("headers", NEVER_SENT, ids=range(len(NEVER_SENT)))
async def test_what_is_no_token_is_refused_and_sent_nowhere(
    client: httpx2.AsyncClient, scripted: Scripted, headers: Headers
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = await client.get("/me", headers=raw)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert scripted.asked == []


async def test_the_longest_token_is_sent(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/me", headers=bearer("a" * MAX_TOKEN))).status_code == 200
    assert (await client.get("/me", headers={"Authorization": "bEARER  a.b.c=="})).status_code == 200


async def test_a_no_is_a_401(client: httpx2.AsyncClient, scripted: Scripted) -> None:
    scripted.answer = 401, [("WWW-Authenticate", "Basic"), *identity()]
    answer = await client.get("/me", headers=bearer("a.b.c"))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


async def test_a_missing_role_is_a_403(client: httpx2.AsyncClient, scripted: Scripted) -> None:
    for roles, status in (("user", 403), ("user,admin", 200), ("admin", 200), ("administrator", 403), ("Admin", 403)):
        scripted.answer = 204, identity(roles=roles)
        assert (await client.get("/admin", headers=bearer("a.b.c"))).status_code == status, roles
        assert scripted.forget() == 1
    assert (await client.get("/admin")).status_code == 401


ODD: list[tuple[int, Headers]] = [
    *((status, identity()) for status in (200, 201, 202, 206, 301, 302, 307, 400, 402, 403, 404, 418, 429, 500, 502, 503, 599)),
    (302, [("Location", "/auth/verify2"), *identity()]),
    (204, []),
    *((204, identity(**{name: None})) for name in ("user", "username", "roles", "session")),
    *((204, identity(**{name: ""})) for name in ("user", "username", "roles", "session")),
    *((204, [*identity(), (f"X-Auth-{name}", "admin")]) for name in ("User", "Username", "Roles", "Session")),
    (204, identity(user="1")),
    (204, identity(user="{12345678-1234-5678-1234-567812345678}")),
    (204, identity(session="12345678123456781234567812345678")),
    (204, identity(session="None")),
    (204, identity(roles="user,,admin")),
    (204, identity(roles=",")),
    (204, identity(username="a\u0085b")),
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
async def test_any_other_answer_is_a_503(client: httpx2.AsyncClient, scripted: Scripted, odd: tuple[int, Headers]) -> None:
    scripted.answer = odd
    answer = await client.get("/me", headers=bearer("a.b.c"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert len(scripted.asked) == 1  # no redirect was followed, nothing tried again


async def test_a_short_body_changes_nothing_and_a_long_one_is_not_read(client: httpx2.AsyncClient, scripted: Scripted) -> None:
    scripted.answer, scripted.body = (401, []), b"x" * 100
    assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 401
    scripted.body = b"x" * (MAX_BODY + 1)
    assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 503


async def test_nobody_there_is_a_503() -> None:
    async with asking(Authkeep(f"http://127.0.0.1:{free_port()}")) as client:
        answer = await client.get("/me", headers=bearer("a.b.c"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_silence_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authkeep_client.client, "TOTAL_SECONDS", 0.05)
    with TcpProxy(free_port()) as silent:
        silent.partition()
        async with asking(Authkeep(f"http://127.0.0.1:{silent.port}")) as client:
            assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 503


async def test_an_answer_that_never_ends_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, all of them together do not."""
    monkeypatch.setattr(authkeep_client.client, "TOTAL_SECONDS", 0.2)

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\nX-Drip: ")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            writer.close()

    port = free_port()
    async with await asyncio.start_server(drip, "127.0.0.1", port), asking(Authkeep(f"http://127.0.0.1:{port}")) as client:
        assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 503


async def test_what_is_not_http_is_a_503() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    port = free_port()
    async with await asyncio.start_server(babble, "127.0.0.1", port), asking(Authkeep(f"http://127.0.0.1:{port}")) as client:
        assert (await client.get("/me", headers=bearer("a.b.c"))).status_code == 503


async def test_many_at_once_are_each_themselves(client: httpx2.AsyncClient, scripted: Scripted) -> None:
    people = {f"token{number}": identity(username=f"user{number}") for number in range(100)}
    scripted.to = {token: (204, headers) for token, headers in people.items()}
    answers = await asyncio.gather(*(client.get("/me", headers=bearer(token)) for token in people))
    assert [answer.json()["username"] for answer in answers] == [f"user{number}" for number in range(100)]


async def test_a_service_that_forgot_the_lifespan_lets_nobody_in() -> None:
    auth = Authkeep(URL, transport=httpx2.ASGITransport(Scripted()))
    with pytest.raises(RuntimeError, match="lifespan"):
        await auth.user("a.b.c")
    async with auth:
        assert isinstance(await auth.user("a.b.c"), User)
        with pytest.raises(RuntimeError, match="open already"):
            await auth.__aenter__()
    with pytest.raises(RuntimeError, match="lifespan"):
        await auth.user("a.b.c")


def test_the_docs_of_a_service_show_how_to_sign_in() -> None:
    spec = service_of(Authkeep(URL)).openapi()
    scheme = spec["components"]["securitySchemes"]["Authkeep"]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    for path in ("/me", "/admin"):
        assert {"Authkeep": []} in spec["paths"][path]["get"]["security"]


@pytest.mark.parametrize(
    "url", ["", "auth.example.com", "ftp://a", "https://", "https://user:secret@a", "https://a?b=c", "https://a#b", "/auth"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Authkeep(url)


async def test_a_user_can_not_be_changed(scripted: Scripted) -> None:
    async with Authkeep(URL, transport=httpx2.ASGITransport(scripted)) as auth:
        user = await auth.user("a.b.c")
    with pytest.raises(dataclasses.FrozenInstanceError):
        user.username = "root"  # type: ignore[misc]  # what must fail
