"""The main job on real input: a real server process, a real client over TCP, a real mail server; a token revoked and dead."""

from pathlib import Path

import httpx2
import pytest

from tests.flows.journeys import registers_and_signs_out, resets_by_mail
from tests.support import api
from tests.support.servers import Kind, ServerProcess
from tests.support.smtp import SmtpServer


@pytest.mark.env(WORKER_IN_SERVER="true", MIGRATE_ON_START="true")
@pytest.mark.parametrize("kind", ["serve", "uvicorn"])
async def test_a_person_is_served_from_registration_to_a_dead_token(
    kind: Kind, env: dict[str, str], smtp: SmtpServer, tmp_path: Path
) -> None:
    with ServerProcess(kind, env, tmp_path) as process:
        process.wait_ready()
        async with httpx2.AsyncClient(base_url=process.base_url, timeout=10) as client:
            await registers_and_signs_out(client, "alice")
            user = await api.new_user(client)
            assert (await client.post("/auth/forgot-password", json={"email": user.email})).status_code == 202
            await resets_by_mail(client, await smtp.wait_for_async(user.email, subject="Reset your password"), user)
        assert process.terminate() == (0 if kind == "serve" else -15)
