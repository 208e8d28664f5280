"""The console's audit log: what a search that can't be read is answered."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.admin.scene import check_desk, staff


@pytest.mark.parametrize("moment", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "yesterday"])
async def test_a_moment_that_is_none_is_a_fault_of_its_field(app: FastAPI, client: AsyncClient, moment: str) -> None:
    await staff(app, client, "auditor")
    for name in ("since", "until"):
        page = await client.get("/admin/audit", params={name: moment})
        assert "Give a day and a time, in UTC." in page.text, name
        check_desk(page, status=422)
        assert page.status_code < 500, name
