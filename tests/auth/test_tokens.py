"""Tokens: the claims they carry (RFC 9068), and every forgery, kind or spelling that is not the one we issued is 401.

Forgeries are made by hand, without the library that reads them, from a real session's claims; the forger holds the server's
keys, so that a refusal is for the flaw alone.
"""

import hashlib
import hmac
import json
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.config import Settings
from app.core.crypto import derive_key
from tests.auth.holding import TickingClock
from tests.support import api
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, links_in

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ISSUER = "http://localhost:8000"


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(part: str) -> Any:
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed(header: Any, claims: Any, key: bytes, hash_name: str = "sha256") -> str:
    """A compact JWS of whatever, written as the server writes it; bytes are taken as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode() for part in (header, claims)]
    text = ".".join(map(encode, parts))
    return f"{text}.{encode(hmac.digest(key, text.encode(), hash_name))}"


@dataclass
class Forger:
    """Has a real token of each kind, their claims, and the keys."""

    tokens: dict[str, str]
    secret: str
    keys: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = {"access": self.secret.encode(), "refresh": derive_key(self.secret, "refresh-token")}

    def header(self, kind: str) -> dict[str, Any]:
        parts: dict[str, Any] = decode(self.tokens[f"{kind}_token"].split(".")[0])
        return parts

    def claims(self, kind: str) -> dict[str, Any]:
        parts: dict[str, Any] = decode(self.tokens[f"{kind}_token"].split(".")[1])
        return parts

    def make(self, kind: str, header: dict[str, Any] | None = None, key: bytes | None = None, **claims: Any) -> str:
        """A token as the server makes it but for these changes; a claim of `...` is left out."""
        changed = {name: value for name, value in (self.claims(kind) | claims).items() if value is not ...}
        return signed(self.header(kind) | (header or {}), changed, key or self.keys[kind])


@pytest.fixture
def clock() -> TravellingClock:
    """Waits are over when the test says so, however slow the machine."""
    return TickingClock()


@pytest.fixture
async def forger(client: AsyncClient, settings: Settings) -> Forger:
    user = await api.new_user(client)
    client.cookies.clear()
    return Forger(user.tokens, settings.SECRET_KEY.get_secret_value())


async def use(client: AsyncClient, kind: str, token: str) -> Response:
    """Ask for what a token of this kind opens."""
    if kind == "access":
        return await client.get("/auth/me", headers={b"Authorization": b"Bearer " + token.encode()})
    return await client.post("/auth/refresh", json={"refresh_token": token})


async def all_refused(
    client: AsyncClient, forger: Forger, kind: str, tokens: Iterable[tuple[str, str]], *, live: bool = True
) -> None:
    """Every one is the same 401, and the real session is none the worse (`live`: it has not expired)."""
    for name, token in tokens:
        answer = await use(client, kind, token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid"), name
        assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"'), name
    assert not live or (await use(client, "access", forger.tokens["access_token"])).status_code == 200


KINDS = ["access", "refresh"]
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
async def test_the_forger_makes_good_tokens_if_he_changes_nothing(client: AsyncClient, forger: Forger, kind: str) -> None:
    # The control of all that follows.
    for token in (forger.make(kind), forger.make(kind, {"kid": "whatever"})):
        assert (await use(client, kind, token)).status_code == 200
        if kind == "refresh":
            break  # spent


@pytest.mark.asvs("V9.2.1", "V9.2.3", "V7.2.3")
async def test_an_access_token_carries_the_claims_of_rfc_9068(
    client: AsyncClient, clock: TravellingClock, settings: Settings
) -> None:
    user = await api.new_user(client)
    now = clock().timestamp()
    kit = Forger(user.tokens, settings.SECRET_KEY.get_secret_value())
    assert kit.header("access") == {"alg": "HS256", "typ": "at+jwt"}
    claims = kit.claims("access")
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "role", "auth_time", "amr", "acr"}
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, ISSUER, user.id)
    assert (claims["role"], claims["amr"], claims["acr"]) == ("user", ["pwd"], "aal1")
    assert claims["exp"] - claims["iat"] == 900 == user.tokens["expires_in"]
    assert now - 5 <= claims["iat"] == claims["auth_time"] <= now
    assert uuid.UUID(claims["sid"]).version == 7
    assert len(claims["jti"]) == 32


@pytest.mark.asvs("V7.2.3")
async def test_a_refresh_token_is_another_kind_for_another_audience_by_another_key(client: AsyncClient, forger: Forger) -> None:
    assert forger.header("refresh") == {"alg": "HS256", "typ": "rt+jwt"}
    access, refresh = forger.claims("access"), forger.claims("refresh")
    assert set(refresh) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "gen"}
    assert (refresh["sid"], refresh["sub"], refresh["gen"]) == (access["sid"], access["sub"], 0)
    assert refresh["aud"] != access["aud"]
    assert refresh["jti"] != access["jti"]
    assert refresh["exp"] - refresh["iat"] == 30 * 86400
    assert forger.keys["access"] != forger.keys["refresh"]


async def test_an_access_token_names_the_session_in_which_it_was_made(client: AsyncClient, forger: Forger) -> None:
    again = (await client.post("/auth/refresh", json={"refresh_token": forger.tokens["refresh_token"]})).json()
    new, old = Forger(again, forger.secret).claims("access"), forger.claims("access")
    assert (new["sid"], new["auth_time"]) == (old["sid"], old["auth_time"])
    assert new["jti"] != old["jti"]


# The matrix of kinds.


async def reset_ticket(client: AsyncClient, clock: TravellingClock, smtp: SmtpServer, work: Any) -> str:
    account = await api.register(client)
    assert (await client.post("/auth/forgot-password", json={"email": account["email"]})).status_code == 202
    clock.advance(seconds=3)
    await work()
    mail = await smtp.wait_for_async(account["email"])
    (token,) = [link.partition("token=")[2] for link in links_in(mail) if "token=" in link]
    return token


@pytest.mark.promise("P3")
@pytest.mark.asvs("V9.2.2", "V2.3.1")
async def test_no_kind_of_token_stands_in_for_another(
    client: AsyncClient, forger: Forger, clock: TravellingClock, smtp: SmtpServer, work: Callable[[], Awaitable[int]]
) -> None:
    access, refresh = forger.tokens["access_token"], forger.tokens["refresh_token"]
    ticket, device = await reset_ticket(client, clock, smtp, work), forger.tokens["device"]
    await all_refused(client, forger, "access", [("refresh", refresh), ("ticket", ticket), ("device", device)])
    await all_refused(client, forger, "refresh", [("access", access), ("ticket", ticket), ("device", device)])
    for name, token in (("access", access), ("refresh", refresh), ("device", device)):
        answer = await client.post("/auth/reset-password", json={"token": token, "new_password": "Other-lantern-93!"})
        assert answer.status_code in {400, 422}, name
    for body in ({"refresh_token": access}, {"refresh_token": ticket}, {"refresh_token": device}):
        assert (await client.post("/auth/logout", json=body)).status_code == 401
    for token in (refresh, ticket, device):
        assert (await client.post("/auth/logout", headers=api.bearer({"access_token": token}))).status_code == 401
    for path in ("/auth/sessions", "/users/"):
        assert (await client.get(path, headers=api.bearer({"access_token": refresh}))).status_code == 401
    assert (await use(client, "access", access)).status_code == 200
    assert (await use(client, "refresh", refresh)).status_code == 200


@pytest.mark.asvs("V9.2.2")
@kinds
async def test_kind_key_and_audience_are_each_checked(client: AsyncClient, forger: Forger, kind: str) -> None:
    other = "refresh" if kind == "access" else "access"
    own, foreign = forger.header(kind)["typ"], forger.header(other)["typ"]
    audience = forger.claims(other)["aud"]
    tokens = [
        ("the other's typ", forger.make(kind, {"typ": foreign}, gen=0)),
        ("the other's key", forger.make(kind, key=forger.keys[other], gen=0)),
        ("the other's audience", forger.make(kind, aud=audience, gen=0)),
        ("the other's but for typ", forger.make(other, {"typ": own}, gen=0)),
        ("the other's but for typ and key", forger.make(other, {"typ": own}, forger.keys[kind], gen=0)),
        (
            "the other's but for key and audience",
            forger.make(other, None, forger.keys[kind], aud=forger.claims(kind)["aud"], gen=0),
        ),
    ]
    await all_refused(client, forger, kind, tokens)
    for typ in (None, "", "JWT", "jwt", own.upper(), f"application/{own}", [own], 1):
        await all_refused(client, forger, kind, [(f"typ {typ}", forger.make(kind, {"typ": typ}))])
    header = {"alg": "HS256"}
    await all_refused(client, forger, kind, [("no typ", signed(header, forger.claims(kind), forger.keys[kind]))])


# Forgeries.


@pytest.mark.asvs("V9.1.1", "V7.2.1")
@kinds
async def test_a_token_with_one_bit_changed_is_refused(client: AsyncClient, forger: Forger, kind: str) -> None:
    token = forger.tokens[f"{kind}_token"]
    header, payload, signature = token.split(".")
    places = [0, len(header) // 2, len(header) + 5, len(header) + len(payload) // 2, len(token) - 20, len(token) - 2]
    flipped = [token[:at] + ALPHABET[ALPHABET.index(token[at]) ^ 1] + token[at + 1 :] for at in places]
    elevated = encode(json.dumps(forger.claims(kind) | {"role": "admin"}).encode())
    tokens = [(f"bit at {at}", one) for at, one in zip(places, flipped, strict=True)]
    tokens += [("other claims", f"{header}.{elevated}.{signature}"), ("no signature", f"{header}.{payload}.")]
    tokens += [("cut signature", token[:-4]), ("signature twice", token + signature), ("empty", "..")]
    tokens = [(name, one) for name, one in tokens if one]
    await all_refused(client, forger, kind, tokens)


@pytest.mark.asvs("V9.1.1", "V2.2.1")
@kinds
async def test_a_token_has_one_spelling(client: AsyncClient, forger: Forger, kind: str) -> None:
    token = forger.tokens[f"{kind}_token"]
    last = ALPHABET.index(token[-1])
    spellings = [(f"trailing bits {bits}", token[:-1] + ALPHABET[last ^ bits]) for bits in (1, 2, 3)]
    assert {urlsafe_b64decode(one.split(".")[2] + "=") for _, one in spellings} == {urlsafe_b64decode(token.split(".")[2] + "=")}
    header, payload, signature = token.split(".")
    spellings += [("four parts", f"{token}.{signature}"), ("two parts", f"{header}.{payload}"), ("one part", header)]
    spellings += [("JWE", f"{header}..{payload}.{signature}.{signature}"), ("long", "a" * 3000 + f".{payload}.{signature}")]
    await all_refused(client, forger, kind, spellings)
    odd = [
        ("padding", token + "="),
        ("plus", token[:-1] + "+"),
        ("slash", token[:-1] + "/"),
        ("dot", token + "."),
        ("tab", token + "\t."),
    ]
    odd += [
        ("inner space", f"{header} .{payload}.{signature}"),
        ("letter", token[:-1] + "\u00e9"),
        ("digit", "\u0661" + token[1:]),
    ]
    odd += [("huge", "a" * 5000), ("huge parts", ".".join(["a" * 3000] * 3))]
    for name, one in odd:
        answer = await use(client, kind, one)
        assert answer.status_code in ({401} if kind == "access" else {401, 422}), name


@pytest.mark.asvs("V9.1.2", "V9.1.1")
@kinds
async def test_hs256_is_the_only_algorithm(client: AsyncClient, forger: Forger, kind: str) -> None:
    claims, key, header = forger.claims(kind), forger.keys[kind], forger.header(kind)
    tokens = []
    for alg in ("none", "None", "NONE", "nOnE", ""):
        head, body = (encode(json.dumps(part).encode()) for part in (header | {"alg": alg}, claims))
        tokens += [(f"{alg!r} bare", f"{head}.{body}."), (f"{alg!r} with a signature", f"{head}.{body}.AAAA")]
        tokens += [(f"{alg!r} signed", signed(header | {"alg": alg}, claims, key))]
    for alg, digest in (("HS384", "sha384"), ("HS512", "sha512"), ("hs256", "sha256"), ("RS256", "sha256"), ("ES256", "sha256")):
        tokens.append((alg, signed(header | {"alg": alg}, claims, key, digest)))
    for odd in (None, ["HS256"], {"HS256": 1}, 256, True):
        tokens.append((f"alg {odd}", signed(header | {"alg": odd}, claims, key)))
    tokens.append(("no alg", signed({"typ": header["typ"]}, claims, key)))
    await all_refused(client, forger, kind, tokens)


@pytest.mark.asvs("V9.1.3")
@kinds
async def test_a_token_does_not_bring_its_own_key(client: AsyncClient, forger: Forger, kind: str) -> None:
    mine = b"attacker's own key, 32 bytes long"
    jwk = {"kty": "oct", "k": encode(mine)}
    headers: list[dict[str, Any]] = [
        {"jwk": jwk},
        {"jku": "http://127.0.0.1:9/jwks.json"},
        {"x5u": "http://127.0.0.1:9/x.pem"},
        {"x5c": [encode(mine)]},
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'key"},
    ]
    for header in headers:
        await all_refused(
            client, forger, kind, [(f"{header}", forger.make(kind, header, mine)), ("", forger.make(kind, header, b"\0"))]
        )
    for key in (b"secret", b"\0" * 32, ISSUER.encode(), hashlib.sha256(forger.secret.encode()).digest()):
        await all_refused(client, forger, kind, [("another key", forger.make(kind, key=key))])
    crit: list[dict[str, Any]] = [{"crit": ["x"], "x": 1}, {"crit": ["b64"], "b64": False}, {"crit": "exp"}, {"zip": "DEF"}]
    await all_refused(client, forger, kind, [(f"{header}", forger.make(kind, header)) for header in crit])


@pytest.mark.asvs("V9.2.1", "V15.3.5")
@kinds
async def test_a_token_is_good_until_its_exp_and_needs_one(
    client: AsyncClient, forger: Forger, kind: str, clock: TravellingClock
) -> None:
    now = int(clock().timestamp())
    moments: list[Any] = [..., None, True, False, now + 60.5, float(now + 60), str(now + 60), [now + 60], {}, "9e9", 0, -1, now]
    for exp in moments:
        await all_refused(client, forger, kind, [(f"exp {exp}", forger.make(kind, exp=exp))])
    for exp in (10**12, 10**18, 10**30):
        await all_refused(client, forger, kind, [(f"exp {exp}", forger.make(kind, exp=exp))])
    for raw in (b"NaN", b"Infinity", b"1e400", b"9" * 400):
        claims = json.dumps(forger.claims(kind) | {"exp": 0}).encode().replace(b'"exp": 0', b'"exp": ' + raw)
        await all_refused(client, forger, kind, [(f"exp {raw!r}", signed(forger.header(kind), claims, forger.keys[kind]))])
    for nbf in (now + 3600, str(now), None, True):
        await all_refused(client, forger, kind, [(f"nbf {nbf}", forger.make(kind, nbf=nbf))])
    assert (await use(client, kind, forger.make(kind, nbf=now - 1, exp=now + 60))).status_code == 200


@pytest.mark.asvs("V9.2.1", "V7.3.2")
async def test_both_kinds_expire(client: AsyncClient, forger: Forger, clock: TravellingClock) -> None:
    clock.advance(timedelta(minutes=15, seconds=-5))
    assert (await use(client, "access", forger.tokens["access_token"])).status_code == 200
    clock.advance(seconds=5)
    await all_refused(client, forger, "access", [("expired", forger.tokens["access_token"])], live=False)
    clock.advance(timedelta(days=30, minutes=-15))
    await all_refused(client, forger, "refresh", [("expired", forger.tokens["refresh_token"])], live=False)


@pytest.mark.env(ACCESS_TOKEN_EXPIRE_MINUTES="1", REFRESH_TOKEN_EXPIRE_DAYS="1")
async def test_their_lives_are_settings(client: AsyncClient, forger: Forger, clock: TravellingClock) -> None:
    clock.advance(seconds=61)
    await all_refused(client, forger, "access", [("expired", forger.tokens["access_token"])], live=False)
    clock.advance(timedelta(hours=23, minutes=58, seconds=30))
    fresh = (await use(client, "refresh", forger.tokens["refresh_token"])).json()
    assert 0 < fresh["expires_in"] <= 30  # no token outlives its session
    clock.advance(seconds=30)
    await all_refused(client, forger, "access", [("outlived", fresh["access_token"])], live=False)
    await all_refused(client, forger, "refresh", [("outlived", fresh["refresh_token"])], live=False)


@pytest.mark.asvs("V9.2.3", "V15.3.5")
@kinds
async def test_issuer_and_audience_are_exactly_ours(client: AsyncClient, forger: Forger, kind: str) -> None:
    audience = forger.claims(kind)["aud"]
    wrong: list[Any] = [
        ...,
        None,
        "",
        "https://elsewhere.example",
        audience + "/",
        audience.upper(),
        [audience, "x"],
        [audience],
        {},
        1,
    ]
    await all_refused(client, forger, kind, [(f"aud {aud}", forger.make(kind, aud=aud)) for aud in wrong])
    wrong = [..., None, "", "https://elsewhere.example", ISSUER + "/", ISSUER.upper(), [ISSUER], 1, True]
    await all_refused(client, forger, kind, [(f"iss {iss}", forger.make(kind, iss=iss)) for iss in wrong])


@pytest.mark.asvs("V15.3.5", "V8.2.2")
@kinds
async def test_every_claim_is_needed_and_of_its_type(client: AsyncClient, forger: Forger, kind: str) -> None:
    somebody, no_session = str(uuid.uuid4()), str(uuid.uuid4())
    tokens: list[tuple[str, str]] = []
    values: list[Any] = [..., None, True, 1.5, [], {}, ["x"]]
    for name in ("sub", "sid", "jti", *(("gen",) if kind == "refresh" else ())):
        tokens += [(f"{name} {value}", forger.make(kind, None, None, **{name: value})) for value in values]
    for name in ("sub", "sid"):
        odd = ("", "x", "0", "\ud800", "a" * 36)
        tokens += [(f"{name} {value!a}", forger.make(kind, None, None, **{name: value})) for value in odd]
    tokens += [("somebody else", forger.make(kind, sub=somebody)), ("no session", forger.make(kind, sid=no_session))]
    if kind == "refresh":
        tokens += [("gen as text", forger.make(kind, gen="0")), ("gen as false", forger.make(kind, gen=False))]
    await all_refused(client, forger, kind, tokens)


@pytest.mark.asvs("V16.5.1", "V15.2.2")
@kinds
async def test_a_payload_that_is_no_claims_is_refused_without_a_crash(client: AsyncClient, forger: Forger, kind: str) -> None:
    payloads = [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"{}", b"{}" * 2, b'{"a":' * 300 + b"1" + b"}" * 300]
    payloads += [b'{"a":' + b"[" * 1200 + b"]" * 1200 + b"}", b"[" * 2400]
    header, key = forger.header(kind), forger.keys[kind]
    await all_refused(client, forger, kind, [(repr(payload[:20]), signed(header, payload, key)) for payload in payloads])
    await all_refused(
        client, forger, kind, [(f"header {raw[:20]!r}", signed(raw, forger.claims(kind), key)) for raw in payloads if raw]
    )


@pytest.mark.promise("P6")
async def test_a_generation_that_no_database_could_hold_is_refused(client: AsyncClient, forger: Forger) -> None:
    await all_refused(
        client, forger, "refresh", [(str(gen), forger.make("refresh", gen=gen)) for gen in (10**30, -(10**30), 2**63)]
    )


@pytest.mark.asvs("V8.3.1", "V8.2.2")
async def test_the_role_in_a_token_opens_nothing(client: AsyncClient, forger: Forger) -> None:
    # The row decides, even for one who could sign.
    answer = await client.get("/users/", headers=api.bearer({"access_token": forger.make("access", role="admin")}))
    assert answer.status_code == 403


async def test_another_servers_tokens_are_refused(app: FastAPI, client: AsyncClient, forger: Forger) -> None:
    other = Forger(forger.tokens, "another secret key of another server")
    await all_refused(client, forger, "access", [("other", other.make("access"))])
    await all_refused(client, forger, "refresh", [("other", other.make("refresh"))])
