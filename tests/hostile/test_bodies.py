"""Whole bodies that are wrong: bytes, encodings, lengths, content types. A 4xx problem always, 413 and 415 where they belong."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.hostile.checks import wrong_with
from tests.hostile.raw import JSON as JSON_HEADER
from tests.hostile.raw import Answer, send
from tests.hostile.surface import CANARY, FORM, JSON, SECRET, Operation, operations
from tests.support import api

pytestmark = pytest.mark.env(LOG_LEVEL="DEBUG")

LIMIT = 64 * 1024
Sent = tuple[Operation, str, list[tuple[bytes, bytes]]]

READ = {200, 201, 202, 204, 400, 401, 404, 429}  # 404: no such passkey


@pytest.fixture
async def targets(app: FastAPI, client: AsyncClient) -> list[Sent]:
    """Every operation that takes JSON, its path, the headers of one who may call it."""
    admin, target = await api.new_admin(app, client), await api.register(client)
    found = []
    for operation in operations(app):
        if JSON in operation.content:
            signed_in = operation.signed_in and operation.path != "/auth/logout"
            headers = [(b"authorization", admin.headers["Authorization"].encode())] if signed_in else []
            found.append(
                (operation, operation.url(user_id=target["id"], passkey_id=target["id"], webhook_id=target["id"]), headers)
            )
    return found


async def post(
    app: FastAPI, target: Sent, body: bytes | Sequence[bytes], content_type: bytes | None = b"application/json", **more: bytes
) -> Answer:
    operation, url, headers = target
    named = [(name.replace("_", "-").encode(), value) for name, value in more.items()]
    typed = [(b"content-type", content_type)] if content_type is not None else []
    return await send(app, operation.method, url.encode(), headers=[*headers, *typed, *named], body=body)


def not_json() -> Iterator[tuple[str, bytes]]:
    """Bodies that are no JSON object at all: name, bytes."""
    whole = json.dumps({"username": CANARY, "email": f"{CANARY}@example.com", "password": SECRET, "token": CANARY})
    yield from {
        "invalid UTF-8": b'{"username": "\xff\xfe", "password": "' + SECRET.encode() + b'"}',
        "overlong UTF-8": b'{"username": "\xc0\x80", "password": "' + SECRET.encode() + b'"}',
        "surrogates in UTF-8": b'{"username": "\xed\xa0\x80' + CANARY.encode() + b'"}',
        "cut in a character": '{"username": "é'.encode()[:-1],
        "BOM in UTF-16": whole.encode("utf-16"),
        "UTF-16 without BOM": whole.encode("utf-16-le"),
        "UTF-32": whole.encode("utf-32"),
        "UTF-7": b"+AHs-+ACI-" + CANARY.encode(),
        "truncated": whole.encode()[:-9],
        "one brace": b"{",
        "two objects": (whole + whole).encode(),
        "trailing comma": whole.replace("}", ",}").encode(),
        "comment": (whole + "// " + CANARY).encode(),
        "single quotes": whole.replace('"', "'").encode(),
        "unquoted": b"{password: " + CANARY.encode() + b"}",
        "form": b"username=a&password=" + CANARY.encode(),
        "XML": f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;{CANARY}</a>'.encode(),
        "NULs": b"\x00" * 100,
        "spaces": b" " * 1000,
        "gzip": gzip.compress(whole.encode()),
        "array": json.dumps([CANARY]).encode(),
        "nested array": (whole.join("[]")).encode(),
        "string": json.dumps(CANARY).encode(),
        "object in a string": json.dumps(whole).encode(),
        "number": b"1",
        "5000 digits": b"9" * 5000,
        "NaN": b"NaN",
        "true": b"true",
        "brackets": b"[" * 60_000,
        "closed brackets": b"[" * 30_000 + b"]" * 30_000,
        "braces": b'{"a":' * 12_000,
    }.items()


@pytest.mark.asvs("V1.5.2", "V2.2.1", "V16.2.5", "V16.5.1")
async def test_what_is_no_json_object_is_refused(app: FastAPI, targets: list[Sent], log: io.StringIO) -> None:
    wrong = []
    for target in targets:
        for name, body in not_json():
            answer = await post(app, target, body)
            if fault := wrong_with(answer, ok=False):
                wrong.append(f"{target[0]} {name}: {fault}")
            elif answer.status not in {400, 413, 415, 422, 429}:
                wrong.append(f"{target[0]} {name}: {answer.status}")
    assert wrong == []
    assert CANARY not in log.getvalue()


async def test_an_empty_body_null_and_a_bom_crash_nothing(app: FastAPI, targets: list[Sent], log: io.StringIO) -> None:
    wrong = []
    for target in targets:
        good = json.dumps(target[0].good_body()).encode()
        for name, body in {"empty": b"", "null": b"null", "BOM": b"\xef\xbb\xbf" + good, "BOM alone": b"\xef\xbb\xbf"}.items():
            if fault := wrong_with(await post(app, target, body)):
                wrong.append(f"{target[0]} {name}: {fault}")
    assert wrong == []
    assert CANARY not in log.getvalue()


@pytest.mark.asvs("V15.3.7")
async def test_of_a_key_given_twice_the_last_counts_and_both_are_secret(
    app: FastAPI, client: AsyncClient, log: io.StringIO
) -> None:
    name = api.new_username()
    body = (
        f'{{"username": "ro", "username": "{name}", "email": "{name}@example.com",'
        f' "password": "{CANARY}", "password": "{SECRET}"}}'
    ).encode()
    answer = await send(app, "POST", b"/auth/register", headers=[JSON_HEADER], body=body)
    assert answer.status == 201, answer.text
    assert answer.json()["username"] == name
    assert CANARY not in answer.text + log.getvalue()
    assert (await api.login(client, name, SECRET))["access_token"]
    refused = await client.post("/auth/login", data={"username": name, "password": CANARY})
    assert refused.status_code == 401


CONTENT_TYPES: list[bytes | None] = [
    None,
    b"",
    b"text/plain",
    b"text/json",
    b"text/html",
    b"application/xml",
    b"application/octet-stream",
    b"application/problem+json",
    b"application/vnd.api+json",
    b"application/jsonp",
    b"application/json-patch+json",
    b"multipart/form-data; boundary=edge",
    b"multipart/form-data",
    b"multipart/mixed",
    b"application",
    b"*/*",
    b"/",
    b"; charset=utf-8",
    b"\xff\xfe",
    b"application/\xc3\xa9",
    b"a" * 9_000,
]


@pytest.mark.asvs("V3.5.2")
async def test_a_body_of_another_type_is_a_415(app: FastAPI, targets: list[Sent], log: io.StringIO) -> None:
    wrong = []
    for target in targets:
        good = json.dumps(target[0].good_body()).encode()
        for content_type in CONTENT_TYPES:
            answer = await post(app, target, good, content_type)
            if fault := wrong_with(answer, ok=False):
                wrong.append(f"{target[0]} {content_type!r}: {fault}")
            elif (answer.status, answer.json()["code"]) != (415, "unsupported_media_type"):
                wrong.append(f"{target[0]} {content_type!r}: {answer.status}")
    assert wrong == []
    assert CANARY not in log.getvalue()


async def test_a_form_is_for_the_login_alone(app: FastAPI, targets: list[Sent]) -> None:
    statuses = {}
    for target in targets:
        answer = await post(app, target, f"username=someone&password={CANARY}".encode(), FORM.encode())
        assert wrong_with(answer, ok=False) is None
        statuses[target[0].path] = answer.status
    assert statuses.pop("/auth/login") == 401
    assert set(statuses.values()) == {415}


async def test_json_by_other_spellings_is_json(app: FastAPI, targets: list[Sent]) -> None:
    for content_type in (b"application/json; charset=utf-8", b"Application/JSON", b"application/json;charset=UTF-8; x=y"):
        for target in targets:
            answer = await post(app, target, json.dumps(target[0].good_body()).encode(), content_type)
            assert answer.status in READ, f"{target[0]}: {answer.text}"


async def test_an_odd_charset_crashes_nothing(app: FastAPI, targets: list[Sent], log: io.StringIO) -> None:
    form = f"username=someone&password={CANARY}".encode()
    for charset in (b"utf-16", b"latin-1", b"\xff", b"nonsense", b"utf-7", b'"', b"idna", b"zlib", b"undefined"):
        for target in targets:
            body = json.dumps(target[0].good_body()).encode()
            assert wrong_with(await post(app, target, body, b"application/json; charset=" + charset)) is None
        headers = [(b"content-type", FORM.encode() + b"; charset=" + charset)]
        answer = await send(app, "POST", b"/auth/login", headers=headers, body=form)
        assert wrong_with(answer, ok=False) is None
    assert CANARY not in log.getvalue()


# Lengths


@pytest.mark.asvs("V15.2.2")
async def test_a_body_over_64_kib_is_a_413(app: FastAPI, targets: list[Sent], log: io.StringIO) -> None:
    for target in targets:
        good = json.dumps(target[0].good_body()).encode()
        for body in (good + b" " * LIMIT, b"x" * (LIMIT + 1), b"[" * 2_000_000):
            pieces = [body[start : start + 8_192] for start in range(0, len(body), 8_192)]
            for sent in (body, pieces):
                answer = await post(app, target, sent)
                assert wrong_with(answer, ok=False) is None, target[0]
                assert answer.status == 413, f"{target[0]}: {answer.text}"
    assert CANARY not in log.getvalue()


async def test_a_body_of_just_64_kib_is_read(app: FastAPI, targets: list[Sent]) -> None:
    for target in targets:
        good = json.dumps(target[0].good_body()).encode()
        answer = await post(app, target, good + b" " * (LIMIT - len(good)))
        assert answer.status in READ, f"{target[0]}: {answer.text}"


async def test_forms_over_64_kib_are_a_413_too(app: FastAPI) -> None:
    for path in (b"/auth/login", b"/account/reset-password"):
        body = b"username=a&password=" + b"x" * LIMIT
        for sent in (body, [body[:1000], body[1000:]]):
            answer = await send(app, "POST", path, headers=[(b"content-type", FORM.encode())], body=sent)
            assert answer.status == 413, (path, answer.text)


async def test_a_large_body_where_none_is_wanted_crashes_nothing(app: FastAPI, client: AsyncClient) -> None:
    admin = await api.new_admin(app, client)
    headers = [(b"authorization", admin.headers["Authorization"].encode()), JSON_HEADER]
    for method, path in (
        ("GET", b"/auth/me"),
        ("GET", b"/health/"),
        ("DELETE", b"/auth/sessions/x"),
        ("POST", b"/auth/logout-all"),
    ):
        answer = await send(app, method, path, headers=headers, body=[b"x" * LIMIT, b"y" * LIMIT])
        assert wrong_with(answer) is None, (method, path)


async def test_an_odd_content_length_crashes_nothing(app: FastAPI, targets: list[Sent]) -> None:
    for length in (b"abc", b"-1", b"1e3", b"", b"9" * 5000, b"0x10", b"\xb2", b"1, 1", b"+5", b" 5"):
        for target in targets:
            answer = await post(app, target, json.dumps(target[0].good_body()).encode(), content_length=length)
            assert wrong_with(answer) is None, (target[0], length[:8])


async def test_a_packed_body_is_not_unpacked(app: FastAPI, targets: list[Sent], log: io.StringIO) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    for encoding in ("gzip", "deflate", "br", "identity, gzip", "nonsense"):
        for target in targets:
            good = json.dumps(target[0].good_body()).encode()
            for body in (gzip.compress(good) if "gzip" in encoding else zlib.compress(good), bomb):
                answer = await post(app, target, body, content_encoding=encoding.encode())
                assert wrong_with(answer, ok=False) is None, target[0]
    assert CANARY not in log.getvalue()


async def test_a_body_broken_off_by_the_client_leaves_the_server_well(app: FastAPI, client: AsyncClient) -> None:
    for method, path in (("POST", b"/auth/login"), ("POST", b"/auth/register"), ("POST", b"/account/reset-password")):
        answer = await send(app, method, path, headers=[JSON_HEADER, (b"content-length", b"500")], body=b'{"username": ')
        assert answer.status < 500, (path, answer.text)
    assert (await client.get("/health/")).status_code == 200


# The form at login


FORMS = {
    "empty": b"",
    "bad percent": b"username=%&password=%zz" + CANARY.encode(),
    "invalid UTF-8": b"username=%ff%fe&password=" + CANARY.encode(),
    "surrogate": b"username=%ed%a0%80&password=" + CANARY.encode(),
    "raw bytes": b"username=\xff\xfe&password=" + CANARY.encode(),
    "NUL": b"username=a%00b&password=" + CANARY.encode(),
    "no password": b"username=" + CANARY.encode(),
    "no value": b"username&password",
    "many fields": b"&".join(b"a%d=1" % number for number in range(1000)),
    "twice": b"username=a&username=b&password=x&password=" + CANARY.encode(),
    "brackets": b"username[]=a&password[]=" + CANARY.encode(),
    "unknown fields": b"username=a&password=b&role=admin&grant_type=evil&" + CANARY.encode() + b"=1",
    "huge": b"username=" + b"u" * 60_000 + b"&password=" + CANARY.encode(),
    "semicolons": b"username=a;password=" + CANARY.encode(),
    "ampersands": b"&" * 60_000,
    "JSON": json.dumps({"username": CANARY, "password": CANARY}).encode(),
    "unterminated": b"=====" + CANARY.encode(),
}


async def test_a_hostile_form_at_login_is_a_problem(app: FastAPI, log: io.StringIO) -> None:
    headers = [(b"content-type", FORM.encode())]
    wrong = []
    for name, body in FORMS.items():
        answer = await send(app, "POST", b"/auth/login", headers=headers, body=body)
        fault = wrong_with(answer, ok=False)
        if fault or answer.status not in {401, 422}:
            wrong.append(f"{name}: {fault or answer.status}")
    assert wrong == []
    assert CANARY not in log.getvalue()


async def test_a_hostile_form_at_the_reset_page_is_a_page(app: FastAPI, log: io.StringIO) -> None:
    headers = [(b"content-type", FORM.encode())]
    for name, form in FORMS.items():
        body = form.replace(b"username", b"token").replace(b"password", b"new_password")
        answer = await send(app, "POST", b"/account/reset-password", headers=headers, body=body)
        assert 400 <= answer.status < 500, (name, answer.text)
        assert answer.header("content-type") == "text/html; charset=utf-8", name
        token = re.search(r'name="token" value="([^"]*)"', answer.text)
        shown = answer.text.replace(token[1], "") if token else answer.text  # the token goes back into its form
        assert CANARY not in shown, name
    assert CANARY not in log.getvalue()
