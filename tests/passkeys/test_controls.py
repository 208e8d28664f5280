"""The controls of the races: servers broken on purpose, that look first and act then, have more than one winner."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.passkeys import repository
from app.passkeys.models import Passkey, PasskeyChallenge
from app.passkeys.repository import Taken, digest_of
from tests.auth.scene import two_clients
from tests.passkeys.authenticator import Authenticator, bent
from tests.passkeys.scene import asking, send, somebody
from tests.support.clock import TravellingClock


async def sent_twice(
    app: FastAPI, env: dict[str, str], clock: TravellingClock, credentials: list[Any], requests: list[str]
) -> list[int]:
    async with two_clients(app, env, clock) as clients:
        both = zip(clients, credentials, requests, strict=True)
        answers = await asyncio.gather(*(send(client, credential, request=request) for client, credential, request in both))
    return [answer.status_code for answer in answers]


async def test_a_challenge_that_is_looked_at_and_then_deleted_is_answered_twice(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_looked = asyncio.Barrier(2)

    async def take(db: AsyncSession, challenge: bytes, purpose: str, bindings: tuple[bytes, ...], now: datetime) -> Taken | None:
        named = PasskeyChallenge.digest == digest_of(challenge)
        found = await db.scalar(select(PasskeyChallenge).where(named, PasskeyChallenge.binding.in_(bindings)))
        await both_looked.wait()
        await db.execute(delete(PasskeyChallenge).where(named))
        return Taken(challenge, bytes(found.binding), found.user_handle) if found else None

    authenticator = Authenticator()
    await somebody(client, authenticator)
    asked = await asking(client)
    credential = authenticator.sign(asked["public_key"])
    monkeypatch.setattr(repository, "take_challenge", take)
    assert await sent_twice(app, env, clock, [credential] * 2, [asked["request"]] * 2) == [200, 200]


async def test_a_counter_that_is_looked_at_and_then_raised_lets_a_copy_in(
    app: FastAPI, client: AsyncClient, env: dict[str, str], clock: TravellingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_looked = asyncio.Barrier(2)
    find = repository.find_key

    async def find_both(db: AsyncSession, credential_id: bytes) -> repository.KnownKey:
        found = await find(db, credential_id)
        await both_looked.wait()
        return found

    async def note_use(db: AsyncSession, passkey_id: uuid.UUID, sign_count: int, now: datetime, **values: bool) -> bool:
        await db.execute(update(Passkey).where(Passkey.id == passkey_id).values(sign_count=sign_count, last_used_at=now))
        return sign_count > before  # as it was when it was looked at

    authenticator = Authenticator(step=1)
    await somebody(client, authenticator)
    before = authenticator.held[0].counter
    asked = [await asking(client) for _ in range(2)]
    credentials = [authenticator.sign(each["public_key"], bent(counter=before + 1)) for each in asked]
    monkeypatch.setattr(repository, "find_key", find_both)
    monkeypatch.setattr(repository, "note_use", note_use)
    assert await sent_twice(app, env, clock, credentials, [each["request"] for each in asked]) == [200, 200]
