"""Each flow is one transaction: broken at its last statement, it leaves the database as it was, and works afterwards.

Jobs and audit rows belong to it. The guess at a code that broke is not kept either: nobody was told whether it was right.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.audit import repository as audit
from app.core.server import Server
from tests.invitations.hosting import accept, invite, invited
from tests.mail.postman import Postman, dump_of, token_in
from tests.support import api
from tests.verification.letters import (
    ask_change,
    change_token,
    code_in,
    confirm,
    letter,
    sign_up,
    undo,
    undo_token,
    verify,
)

FREE, NEW = "freed@example.com", "new.home@example.org"
Act = Callable[[], Awaitable[Response]]


async def _register(postman: Postman, app: FastAPI) -> Act:
    return lambda: sign_up(postman.client, "ada", FREE)


async def _verify_by_link(postman: Postman, app: FastAPI) -> Act:
    await sign_up(postman.client, "ada", FREE)
    token = token_in(await letter(postman, FREE))
    return lambda: verify(postman.client, token=token)


async def _verify_by_code(postman: Postman, app: FastAPI) -> Act:
    await sign_up(postman.client, "ada", FREE)
    code = code_in(await letter(postman, FREE))
    return lambda: verify(postman.client, email=FREE, code=code)


async def _somebody(postman: Postman) -> api.User:
    await sign_up(postman.client, "ada", FREE)
    await verify(postman.client, token=token_in(await letter(postman, FREE)))
    return api.User("", "ada", FREE, api.PASSWORD, await api.login(postman.client, "ada"))


async def _ask_change(postman: Postman, app: FastAPI) -> Act:
    user = await _somebody(postman)
    return lambda: ask_change(postman.client, user, NEW)


async def _confirm(postman: Postman, app: FastAPI) -> Act:
    token = await change_token(postman, await _somebody(postman), NEW)
    return lambda: confirm(postman.client, token)


async def _undo(postman: Postman, app: FastAPI) -> Act:
    token = await undo_token(postman, await _somebody(postman), FREE, NEW)
    return lambda: undo(postman.client, token)


async def _admin(postman: Postman, app: FastAPI) -> api.User:
    await _somebody(postman)
    await api.make_admin(app, "ada")
    return api.User("", "ada", FREE, api.PASSWORD, await api.login(postman.client, "ada"))


async def _invite(postman: Postman, app: FastAPI) -> Act:
    admin = await _admin(postman, app)
    return lambda: invite(postman.client, admin)


async def _accept(postman: Postman, app: FastAPI) -> Act:
    token = await invited(postman, await _admin(postman, app))
    return lambda: accept(postman.client, token)


FLOWS = [_register, _verify_by_link, _verify_by_code, _ask_change, _confirm, _undo, _invite, _accept]


@pytest.mark.promise("P1", "P3", "P4", "P10")
@pytest.mark.env(EMAIL_VERIFICATION="required")
@pytest.mark.parametrize("prepare", FLOWS, ids=lambda flow: flow.__name__.strip("_"))
async def test_a_flow_that_breaks_at_its_last_statement_has_done_nothing(
    prepare: Callable[[Postman, FastAPI], Awaitable[Act]],
    postman: Postman,
    app: FastAPI,
    client: AsyncClient,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    act = await prepare(postman, app)
    careful = audit.add_event

    async def breaking(db: Any, values: dict[str, Any]) -> None:
        await careful(db, values)
        raise OSError("the disk went away")

    before = await dump_of(server)
    with monkeypatch.context() as broken:
        broken.setattr(audit, "add_event", breaking)
        assert (await act()).status_code >= 500
    assert await dump_of(server) == before
    assert (await act()).is_success
    assert await dump_of(server) != before
