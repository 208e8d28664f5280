"""What the server is compared with does what the server does, where it says so."""

from httpx2 import AsyncClient

from bench.headers import START
from tests.support import api


async def test_the_headers_alone_are_those_of_verify(client: AsyncClient) -> None:
    await api.register(client, username="user0000001234")
    tokens = await api.login(client, "user0000001234")
    answer = await client.get("/auth/verify", headers=api.bearer(tokens))
    assert answer.status_code == START["status"]
    sent = {name.decode(): value.decode() for name, value in START["headers"]}
    assert sent.pop("strict-transport-security")  # which this one, not at an https address, does not send
    assert {name: len(value) for name, value in answer.headers.items()} == {name: len(value) for name, value in sent.items()}
