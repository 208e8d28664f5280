"""A receiver of Authkeep's webhooks: `WEBHOOK_SECRETS=whsec_… uvicorn examples.receiver:app --port 9001`.

It believes a message whose signature is right and whose time is near (Standard Webhooks), does it once, and answers at once: what
takes long belongs behind the answer, because Authkeep waits ten seconds.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import time
from contextlib import closing
from typing import Any

from fastapi import FastAPI, Request, Response

# One, or while a secret is being replaced both, separated by spaces.
SECRETS = os.environ.get("WEBHOOK_SECRETS", "").split()
SEEN = os.environ.get("WEBHOOK_SEEN", "receiver.db")  # a file: what was done is known after a restart too
MOST_DIGITS = 12  # of seconds since 1970
TOLERANCE_SECONDS = 5 * 60
MOST_BYTES = 64 * 1024

app = FastAPI()


def is_genuine(secrets: list[str], headers: dict[str, str], body: bytes, now: float) -> bool:
    """Whether one of the secrets signed this, a moment ago."""
    message_id, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not moment.isascii() or not moment.isdigit() or len(moment) > MOST_DIGITS:
        return False
    if abs(now - int(moment)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{moment}.".encode() + body
    given = headers.get("webhook-signature", "").split()
    right = False
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        for each in given:
            right |= hmac.compare_digest(each.encode(), expected.encode())
    return right


def do_once(message_id: str, message: dict[str, Any]) -> bool:
    """Do it and remember it in one transaction; False if it was done before, since a message may come twice."""
    with closing(sqlite3.connect(SEEN)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, type TEXT, subject TEXT)")
        values = (message_id, message["type"], message["data"].get("subject_id"))
        return database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", values).rowcount == 1


async def read(request: Request) -> bytes | None:
    """The body, unless it is larger than any that Authkeep sends."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


@app.post("/hook")
async def receive(request: Request) -> Response:
    """Take one message. Any status but 2xx has it sent again."""
    body = await read(request)
    if body is None or not is_genuine(SECRETS, dict(request.headers), body, time.time()):
        return Response(status_code=400)
    do_once(request.headers["webhook-id"], json.loads(body))
    return Response(status_code=204)
