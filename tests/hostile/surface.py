"""The whole surface of the API, read out of its own OpenAPI document: operations, their fields, a good value for each."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from tests.support import api

CANARY = "canary7f3a"  # in everything that is sent; nowhere in what comes back or is logged
SECRET = f"Kettle-71-{CANARY}!"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
RAW = f"{CANARY}AA"  # base64url of whole bytes
# As browsers write it, for adding a passkey and for using one.
CREDENTIAL = {
    "id": RAW,
    "rawId": RAW,
    "type": "public-key",
    "response": {"clientDataJSON": RAW, "attestationObject": RAW, "authenticatorData": RAW, "signature": RAW},
}


def good_value(field: str) -> Any:
    """A value that the field takes; KeyError for a field that is new here, so that none goes untried."""
    values: dict[str, Any] = {
        "username": api.new_username() + CANARY,
        "email": f"{api.new_username()}.{CANARY}@example.com",
        "password": SECRET,
        "current_password": SECRET,
        "new_password": f"{SECRET}2",
        "device": f"device-{CANARY}",
        "refresh_token": f"aaaa.{CANARY}.bbbb",
        "token": f"token-{CANARY}",
        "role": "user",
        "active": True,
        "display_name": f"Name {CANARY}",
        "locale": "de",
        "transport": "body",
        "code": "ABCD-EFGH",
        "attempt": f"attempt-{CANARY}",
        "remember_device": True,
        "required": True,
        "reset": True,
        "recovery_code": f"{CANARY}-ABCD",
        "credential": CREDENTIAL,
        "name": f"Name {CANARY}",
        "request": f"request-{CANARY}",
        "action": "enable",
        "ids": [str(uuid.uuid4())],
        "filter": {"q": CANARY},
        "reason": f"because {CANARY}",
        "url": f"https://93.184.216.34/{CANARY}",  # an address, so that no name is asked for
        "description": f"For {CANARY}",
        "facts": ["user.registered"],
        "enabled": True,
        "overlap_hours": 1,
        "new_email": f"{api.new_username()}.{CANARY}@example.org",
    }
    return values[field]


@dataclass(frozen=True)
class Operation:
    """One method on one path."""

    method: str
    path: str
    content: Mapping[str, Any]
    query: tuple[str, ...]
    in_path: tuple[str, ...]
    signed_in: bool
    statuses: frozenset[int]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def fields(self) -> list[str]:
        return list(self.content[JSON]["properties"]) if JSON in self.content else []

    def good_body(self) -> dict[str, Any]:
        """A body that passes validation."""
        body = {field: good_value(field) for field in self.fields}
        if "totp" in self.path and "code" in body:
            body["code"] = "123456"
        if self.path == "/auth/login":
            del body["email"]  # one of the two
        if self.path == "/auth/verify-email":
            del body["email"], body["code"]  # or these two
        if self.path == "/auth/login/passkey/options":
            del body["attempt"]  # or the username
        if self.path == "/auth/reauthenticate":
            del body["recovery_code"], body["credential"]  # one of the three
        if self.path == "/users/bulk":
            del body["role"], body["filter"]  # that of another action; or the ids
        return body

    def body_with(self, field: str, raw: str) -> bytes:
        """The good body with `raw` JSON text in the place of one field."""
        body = {name: json.dumps(value) for name, value in self.good_body().items()} | {field: raw}
        if self.path == "/auth/login" and field == "email":
            del body["username"]
        if self.path == "/auth/verify-email" and field != "token":
            body = {"email": json.dumps(good_value("email")), "code": json.dumps(good_value("code"))} | {field: raw}
        if self.path == "/auth/login/passkey/options":
            body = {field: raw}
        if self.path == "/auth/reauthenticate":
            body = {"password": json.dumps(SECRET)} | {field: raw}
        if self.path == "/users/bulk":
            body |= {"action": '"set_role"'} if field == "role" else {}
            body = {name: text for name, text in body.items() if name != "ids" or field != "filter"}
        return ("{" + ", ".join(f'"{name}": {text}' for name, text in body.items()) + "}").encode("utf-8", "surrogatepass")

    def url_of_nothing(self) -> str:
        """The path with an id in each place that is none."""
        return self.url(**dict.fromkeys(self.in_path, "x"))

    def url(self, **values: str) -> str:
        return re.sub(r"{(\w+)}", lambda match: values[match[1]], self.path)


def operations(app: FastAPI) -> list[Operation]:
    document = app.openapi()
    return [
        _operation(document, method, path, found)
        for path, methods in document["paths"].items()
        for method, found in methods.items()
    ]


def _operation(document: dict[str, Any], method: str, path: str, found: dict[str, Any]) -> Operation:
    content = found.get("requestBody", {}).get("content", {})
    parameters = found.get("parameters", [])
    return Operation(
        method.upper(),
        path,
        {media_type: _resolve(document, entry["schema"]) for media_type, entry in content.items()},
        tuple(each["name"] for each in parameters if each["in"] == "query"),
        tuple(each["name"] for each in parameters if each["in"] == "path"),
        bool(found.get("security")),
        frozenset(int(status) for status in found["responses"]),
    )


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            return _resolve(document, option)
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def hostile_json() -> Iterator[tuple[str, str]]:
    """Values that no field should take, and a few that some may: name, JSON text."""
    yield from {
        "NaN": "NaN",
        "Infinity": "Infinity",
        "-Infinity": "-Infinity",
        "lone surrogate": f'"\\ud800{CANARY}"',
        "trailing surrogate": f'"{CANARY}\\udfff"',
        "surrogate in UTF-8": f'"{CANARY}\ud800"',
        "NUL": f'"{CANARY}\\u0000"',
        "raw control": f'"{CANARY}\x01"',
        "line break": f'"{CANARY}\\r\\nBcc: x@example.com"',
        "bidi override": f'"{CANARY}\u202e\u2066"',
        "30 digits": "1" * 30,
        "minus 30 digits": "-" + "9" * 30,
        "5000 digits": "7" * 5000,
        "huge float": "1e400",
        "tiny float": "1e-400",
        "float": "1.5",
        "zero": "0",
        "one": "1",
        "huge string": json.dumps(CANARY + "x" * 60_000),
        "long string": json.dumps(CANARY + "é" * 1_500),
        "empty string": '""',
        "blank string": '"   "',
        "60,000 brackets": "[" * 30_000 + "]" * 30_000,
        "60,000 open brackets": "[" * 60_000,
        "10,000 nested objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
        "array": f'["{CANARY}"]',
        "object": f'{{"{CANARY}": "{CANARY}"}}',
        "prototype": '{"__proto__": {"role": "admin"}}',
        "empty array": "[]",
        "empty object": "{}",
        "true": "true",
        "false": "false",
        "null": "null",
        "numeric string": '"1"',
        "template": f'"{{{{7*7}}}}${{7*7}}%s%n{{0.__class__}}{CANARY}"',
        "SQL": f"\"' OR '1'='1'; DROP TABLE users; --{CANARY}\"",
        "markup": f'"<script>{CANARY}</script>"',
    }.items()
