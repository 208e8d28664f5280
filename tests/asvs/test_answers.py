"""What the API answers, on both stacks: one test for each requirement that no feature's own tests prove."""

import base64
import hmac
import json
import secrets
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import func, select

from app.auth.utils import ACCESS, REFRESH
from app.core.server import Server
from app.models import AuditEvent, Base
from tests.architecture.test_routes import rules_of
from tests.support.api import PASSWORD, bearer, login, new_admin, new_user, register
from tests.support.clock import TravellingClock

ORIGIN = "https://app.example.com"


@pytest.mark.asvs("V1.2.4", "V1.2.9")
@pytest.mark.parametrize("q", [".*", "(", "[a-z]+", "%", "_", "a' OR '1'='1", "'; DROP TABLE users; --", "\\"])
async def test_a_search_takes_everything_literally(app: FastAPI, client: httpx2.AsyncClient, q: str) -> None:
    boss = await new_admin(app, client)
    answer = await client.get("/users/", params={"q": q}, headers=boss.headers)
    assert answer.status_code == 200
    assert answer.json()["items"] == []
    assert (await client.get("/users/", params={"q": boss.username[:6]}, headers=boss.headers)).json()["total"] == 1
    for name in ("sort", "cursor", "role"):
        assert (await client.get("/users/", params={name: q}, headers=boss.headers)).status_code == 422


@pytest.mark.asvs("V1.2.4")
async def test_sql_at_login_is_a_name_nobody_has(client: httpx2.AsyncClient) -> None:
    user = await register(client)
    for name in (f"{user['username']}' --", f"{user['username']}' OR '1'='1", f'{user["username"]}"; SELECT 1; --'):
        answer = await client.post("/auth/login", json={"username": name, "password": PASSWORD})
        assert answer.status_code == 401


@pytest.mark.asvs("V3.4.2")
@pytest.mark.env(CORS_ORIGINS=ORIGIN)
@pytest.mark.parametrize("path", ["/auth/me", "/auth/login", "/users/", "/health/", "/nowhere"])
async def test_only_the_origins_named_are_answered(client: httpx2.AsyncClient, path: str) -> None:
    for foreign in (
        "null",
        "https://evil.tld",
        f"{ORIGIN}.evil.tld",
        "http://app.example.com",
        f"{ORIGIN}:444",
        "https://APP.example.com",
    ):
        for answer in (
            await client.get(path, headers={"Origin": foreign}),
            await client.options(path, headers={"Origin": foreign, "Access-Control-Request-Method": "POST"}),
        ):
            assert "access-control-allow-origin" not in answer.headers
    ours = await client.get(path, headers={"Origin": ORIGIN})
    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in ours.headers["vary"]


@pytest.mark.asvs("V4.1.1")
async def test_each_body_has_its_media_type(client: httpx2.AsyncClient) -> None:
    user = await new_user(client)
    expected = {
        "/auth/me": "application/json",
        "/health/": "application/json",
        "/nowhere": "application/problem+json",
        "/users/": "application/problem+json",
        "/account/reset-password": "text/html; charset=utf-8",
        "/docs": "text/html; charset=utf-8",
        "/static/authkeep.css": "text/css; charset=utf-8",
    }
    for path, media_type in expected.items():
        answer = await client.get(path, headers=user.headers)
        assert answer.headers["content-type"] == media_type, path
        if "json" in media_type:
            json.loads(answer.content.decode("utf-8"))
    gone = await client.post("/auth/logout", headers=user.headers)
    assert gone.content == b""
    assert gone.status_code == 204
    assert "content-type" not in gone.headers


def test_every_route_says_who_may_call_it_and_most_need_a_caller(app: FastAPI) -> None:
    for context in iter_route_contexts(app.routes):
        if isinstance(context.route, APIRoute):
            assert len(rules_of(context)) == 1, context.path


PUBLIC_CALLS = {
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/login/totp"),
    ("POST", "/auth/login/recovery"),
    ("POST", "/auth/mfa/totp"),
    ("POST", "/auth/mfa/totp/confirm"),
    ("POST", "/auth/login/passkey"),
    ("POST", "/auth/login/passkey/options"),
    ("POST", "/auth/passkeys"),
    ("POST", "/auth/passkeys/options"),
    ("POST", "/auth/logout"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/forgot-password"),
    ("POST", "/auth/reset-password"),
    ("POST", "/auth/verify-email"),
    ("POST", "/auth/verify-email/resend"),
    ("POST", "/auth/me/email/confirm"),
    ("POST", "/auth/me/email/undo"),
    ("POST", "/auth/invitations/accept"),
    ("POST", "/auth/end-session"),
    ("GET", "/health/"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
}


@pytest.mark.asvs("V8.2.1", "V7.2.1")
async def test_each_call_is_for_those_it_is_meant_for(app: FastAPI, client: httpx2.AsyncClient) -> None:
    """The whole table: nobody and forged tokens get 401, a user gets 403 from what is for admins."""
    user = await new_user(client)
    calls = [(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item]
    assert set(calls) >= PUBLIC_CALLS
    anyone = {"user_id": user.id, "session_id": user.id, "invitation_id": user.id, "passkey_id": user.id, "bulk_id": user.id}
    anyone |= dict.fromkeys(("job_id", "webhook_id", "delivery_id"), user.id)
    closed = [call for call in calls if call not in PUBLIC_CALLS]
    assert len(closed) >= 10
    for method, path in closed:
        url = path.format(**anyone)
        body = {"role": "admin"} if path.endswith("/role") else {"active": False} if path.endswith("/status") else None
        body = {"reset": True} if path.endswith("/mfa") and path.startswith("/users") else body
        for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": f"Basic {user.tokens['access_token']}"}):
            answer = await client.request(method, url, json=body, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
        if path.startswith(("/users", "/jobs", "/webhooks")):
            answer = await client.request(method, url, json=body, headers=user.headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)
    assert (await client.get("/auth/me", headers=user.headers)).json()["role"] == "user"


@pytest.mark.asvs("V16.3.2")
async def test_a_refused_admin_call_is_written_down_without_what_was_asked_for(
    client: httpx2.AsyncClient, server: Server
) -> None:
    user, other = await new_user(client), await new_user(client)
    assert (await client.get(f"/users/{other.id}", headers=user.headers)).status_code == 403
    async with server.database.read() as db:
        rows = list((await db.scalars(select(AuditEvent).where(AuditEvent.fact == "access.denied"))).all())
    assert [str(row.actor_id) for row in rows] == [user.id]
    assert other.id not in json.dumps(rows[0].data)


def secret_of(server: Server) -> OctKey:
    return OctKey.import_key(server.settings.SECRET_KEY.get_secret_value())


def claims_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


@pytest.mark.asvs("V9.2.1")
async def test_a_token_is_good_from_nbf_until_exp(client: httpx2.AsyncClient, server: Server, clock: TravellingClock) -> None:
    """Signed with the right key, so that only the times differ."""
    user = await new_user(client)
    claims = claims_of(user.tokens["access_token"])
    now = int(clock().timestamp())

    async def status(**changed: Any) -> int:
        changed_claims = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        token = jwt.encode({"alg": "HS256", "typ": ACCESS}, changed_claims, secret_of(server))
        return (await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code

    assert await status() == 200
    assert await status(nbf=now - 1) == 200
    for wrong in (now - 1, 0, -1, str(now + 900), now + 900.5, 10**30, True, None):
        assert await status(exp=wrong) == 401, wrong
    assert await status(nbf=now + 60) == 401
    clock.advance(seconds=901)
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 401


@pytest.mark.asvs("V9.2.3")
async def test_a_token_for_somebody_else_is_refused(client: httpx2.AsyncClient, server: Server) -> None:
    user = await new_user(client)
    claims = claims_of(user.tokens["access_token"])
    ours = claims["aud"]
    for aud in (
        "https://other.example.com",
        f"{ours}/",
        f"{ours}/auth/refresh",
        [ours, "https://other.example.com"],
        [ours],
        "",
        None,
    ):
        changed = {name: value for name, value in {**claims, "aud": aud}.items() if value is not None}
        token = jwt.encode({"alg": "HS256", "typ": ACCESS}, changed, secret_of(server))
        answer = await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, aud


def spoiled_header(token: str, **header: Any) -> str:
    """The token with another header, its signature as it was."""
    raw = json.dumps(header, separators=(",", ":")).encode()
    return ".".join([base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), *token.split(".")[1:]])


@pytest.mark.asvs("V9.1.2", "V9.1.1")
@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "dir", "hs256"])
async def test_no_other_algorithm_is_taken(client: httpx2.AsyncClient, alg: str) -> None:
    user = await new_user(client)
    token = user.tokens["access_token"]
    unsigned = spoiled_header(token, alg=alg, typ=ACCESS).rpartition(".")[0]
    for each in (spoiled_header(token, alg=alg, typ=ACCESS), f"{unsigned}.", f"{unsigned}.AAAA"):
        answer = await client.get("/auth/me", headers={"Authorization": f"Bearer {each}"})
        assert answer.status_code == 401


@pytest.mark.asvs("V9.1.2")
async def test_a_longer_hash_under_the_right_key_is_refused_too(client: httpx2.AsyncClient, server: Server) -> None:
    user = await new_user(client)
    claims = claims_of(user.tokens["access_token"])
    for alg in ("HS384", "HS512"):
        token = jwt.encode({"alg": alg, "typ": ACCESS}, claims, secret_of(server), algorithms=[alg])
        assert (await client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401


@pytest.mark.asvs("V9.1.3")
async def test_a_token_can_not_bring_its_own_key(client: httpx2.AsyncClient) -> None:
    user = await new_user(client)
    token = user.tokens["access_token"]
    own = secrets.token_bytes(32)
    public_key = RSAKey.generate_key(2048).as_dict(private=False)
    for header in (
        {"jwk": OctKey.import_key(own).as_dict(private=True)},
        {"jwk": public_key},
        {"jku": "https://evil.tld/keys"},
        {"x5u": "https://evil.tld/cert"},
        {"x5c": ["MIIB"]},
        {"kid": "../../dev/null"},
        {"kid": "' UNION SELECT 'x"},
        {"crit": ["exp"]},
    ):
        with_header = spoiled_header(token, alg="HS256", typ=ACCESS, **header)
        signed_by_them = signed(with_header.rpartition(".")[0], own)
        for each in (with_header, signed_by_them, signed(with_header.rpartition(".")[0], b"")):
            answer = await client.get("/auth/me", headers={"Authorization": f"Bearer {each}"})
            assert answer.status_code == 401, header


def signed(message: str, key: bytes) -> str:
    """A JWS by HS256, whatever its header says; no library would write some of these."""
    mac = base64.urlsafe_b64encode(hmac.digest(key, message.encode(), "sha256")).rstrip(b"=").decode()
    return f"{message}.{mac}"


@pytest.mark.asvs("V9.1.3")
async def test_a_header_that_must_be_understood_is_refused_even_under_the_right_key(
    client: httpx2.AsyncClient, server: Server
) -> None:
    user = await new_user(client)
    key = server.settings.SECRET_KEY.get_secret_value().encode()

    async def status(**header: Any) -> int:
        message = spoiled_header(user.tokens["access_token"], alg="HS256", typ=ACCESS, **header).rpartition(".")[0]
        return (await client.get("/auth/me", headers={"Authorization": f"Bearer {signed(message, key)}"})).status_code

    assert await status() == 200
    assert await status(crit=["exp"]) == 401
    assert await status(crit=["b64"], b64=False) == 401


@pytest.mark.asvs("V7.2.4", "V7.2.2")
async def test_each_login_gives_another_session_and_another_token(client: httpx2.AsyncClient) -> None:
    user = await new_user(client)
    again = await login(client, user.username)
    first, second = claims_of(user.tokens["access_token"]), claims_of(again["access_token"])
    assert first["sid"] != second["sid"]
    assert first["jti"] != second["jti"]
    assert user.tokens["refresh_token"] != again["refresh_token"]
    new = "Another-harbour-72-kettle!"
    changed = await client.post(
        "/auth/change-password", json={"current_password": PASSWORD, "new_password": new}, headers=bearer(again)
    )
    assert changed.status_code == 200
    for old in (user.tokens, again):
        assert (await client.get("/auth/me", headers=bearer(old))).status_code == 401
    assert (await client.get("/auth/me", headers=bearer(changed.json()))).status_code == 200


@pytest.mark.asvs("V6.2.10")
async def test_a_password_never_runs_out(client: httpx2.AsyncClient, clock: TravellingClock) -> None:
    user = await register(client)
    clock.advance(seconds=int(timedelta(days=400).total_seconds()))
    assert (await login(client, user["username"]))["access_token"]


@pytest.mark.asvs("V14.2.4")
async def test_no_secret_is_stored(client: httpx2.AsyncClient, server: Server) -> None:
    """As docs/security.md says of each class of data: the whole database is searched for what was given out."""
    user = await new_user(client)
    await client.post("/auth/forgot-password", json={"email": user.email})
    given = [user.password, user.tokens["access_token"], user.tokens["refresh_token"], user.tokens["device"]]
    parts = [piece for token in given[1:3] for piece in token.split(".")[1:]]
    async with server.database.read() as db:
        stored = ""
        for table in Base.metadata.sorted_tables:
            for row in (await db.execute(select(table))).all():
                stored += repr(tuple(row))
        assert await db.scalar(select(func.count()).select_from(Base.metadata.tables["users"])) == 1
    assert user.username in stored
    assert [each for each in [*given, *parts] if each in stored] == []


@pytest.mark.asvs("V15.3.7")
async def test_of_two_values_the_last_counts_and_a_query_is_no_body(app: FastAPI, client: httpx2.AsyncClient) -> None:
    user = await register(client)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    last_is_right = f"username=nobody&username={user['username']}&password=wrong&password={PASSWORD}"
    assert (await client.post("/auth/login", content=last_is_right, headers=form)).status_code == 200
    last_is_wrong = f"username={user['username']}&password={PASSWORD}&password=wrong"
    assert (await client.post("/auth/login", content=last_is_wrong, headers=form)).status_code == 401
    raw = f'{{"username": "nobody", "username": "{user["username"]}", "password": "{PASSWORD}"}}'
    assert (await client.post("/auth/login", content=raw, headers={"Content-Type": "application/json"})).status_code == 200
    in_query = {"username": user["username"], "password": PASSWORD}
    assert (await client.post("/auth/login", params=in_query, json={})).status_code == 422
    boss = await new_admin(app, client)
    answer = await client.get("/users/?limit=100&limit=1", headers=boss.headers)
    assert len(answer.json()["items"]) == 1


@pytest.mark.asvs("V2.2.3")
async def test_fields_that_contradict_each_other_are_refused(client: httpx2.AsyncClient) -> None:
    user = await register(client)
    both = {"username": user["username"], "email": user["email"], "password": PASSWORD}
    assert (await client.post("/auth/login", json=both)).status_code == 422
    for password in ("harbour7@example.com", "Harbour7!", "h4rb0ur7??"):
        body = {"username": "harbour7", "email": "harbour7@example.com", "password": password}
        answer = await client.post("/auth/register", json=body)
        assert answer.json()["code"] == "password_rejected"


@pytest.mark.asvs("V16.5.3", "V16.5.1", "V13.4.2", "V16.3.4")
async def test_a_check_that_crashes_lets_nobody_in(
    client: httpx2.AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    user = await new_user(client)

    async def crash(*_: object) -> None:
        raise RuntimeError(f"/etc/secret {user.password}")

    monkeypatch.setattr(server.sessions, "find_live", crash)
    answer = await client.get("/auth/me", headers=user.headers)
    assert answer.status_code == 500
    body = answer.json()
    assert body["code"] == "internal_error"
    assert body["detail"] == f"Request {answer.headers['x-request-id']}"
    assert "RuntimeError" not in answer.text
    assert user.password not in answer.text
    assert user.password not in capfd.readouterr().err


def test_the_two_kinds_of_token_are_told_apart_by_their_type() -> None:
    assert {ACCESS, REFRESH} == {"at+jwt", "rt+jwt"}
