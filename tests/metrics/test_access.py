"""Who may have the numbers: nobody, unless the settings say so; then whoever has the token."""

import pytest
from httpx2 import AsyncClient

from tests.metrics.scrapes import BEARER, TOKEN
from tests.support import api


async def test_without_settings_there_is_no_such_page(client: AsyncClient) -> None:
    for path in ("/metrics", "/metrics/"):
        for headers in ({}, BEARER):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.asvs("V13.4.5")
@pytest.mark.env(METRICS_TOKEN=TOKEN)
async def test_the_token_opens_it_and_nothing_else_does(client: AsyncClient) -> None:
    user = await api.new_user(client)
    wrong: list[dict[str, str]] = [
        {},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN.lower()}"},
        {"Authorization": "Bearer \xe9\xff"},
        {"X-Metrics-Token": TOKEN},
        {"Cookie": f"token={TOKEN}"},
        user.headers,
    ]
    for headers in wrong:
        answer = await client.get("/metrics", headers={name.encode(): value.encode("latin-1") for name, value in headers.items()})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), headers
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await client.get(f"/metrics?token={TOKEN}&access_token={TOKEN}")).status_code == 401
    assert (await client.post("/metrics", headers=BEARER)).status_code == 405
    for path in ("/metrics", "/metrics/"):
        answer = await client.get(path, headers=BEARER)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert TOKEN not in answer.text


@pytest.mark.env(METRICS_PORT="9464", METRICS_TOKEN=TOKEN)
async def test_with_a_port_of_its_own_the_servers_own_has_no_such_page(client: AsyncClient) -> None:
    assert (await client.get("/metrics", headers=BEARER)).status_code == 404
