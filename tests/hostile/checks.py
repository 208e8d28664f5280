"""What must be true of every answer and every log line, whatever was sent."""

from typing import Any

from tests.hostile.raw import Answer
from tests.hostile.surface import CANARY

MEDIA_TYPE, PAGE = "application/problem+json", "text/html; charset=utf-8"
KEYS = {"type", "title", "status", "detail", "code", "errors"}


def shape_of(body: Any, status: int) -> str | None:
    """What is wrong with a problem's shape, or None."""
    if not isinstance(body, dict) or set(body) != KEYS:
        return f"keys {sorted(body) if isinstance(body, dict) else body}"
    if body["status"] != status:
        return f"says status {body['status']}"
    if not all(isinstance(body[key], str) and body[key] for key in ("type", "title", "detail", "code")):
        return "type, title, detail or code is no text"
    for error in body["errors"]:
        if set(error) != {"loc", "code", "detail"} or not all(isinstance(error[key], str) for key in ("code", "detail")):
            return f"error {error}"
        if not isinstance(error["loc"], list) or not all(isinstance(part, str | int) for part in error["loc"]):
            return f"loc {error['loc']}"
    return None


def wrong_with(answer: Answer, *, canary: str = CANARY, ok: bool = True, media_type: str = MEDIA_TYPE) -> str | None:
    """Why the answer is not acceptable, or None; `ok`: whether a 2xx may be right; `media_type`: what a refusal must be."""
    if answer.status >= 500:
        return f"{answer.status} {answer.text[:300]}"
    if answer.status < 400:
        return None if ok and 200 <= answer.status < 300 else f"{answer.status} {answer.text[:300]}"
    if answer.header("content-type") != media_type:
        return f"{answer.status} as {answer.header('content-type')}"
    if canary.lower() in answer.text.lower() or any(canary.encode() in value for _, value in answer.headers):
        return f"{answer.status} echoes what was sent: {answer.text[:300]}"
    problem = shape_of(answer.json(), answer.status) if media_type == MEDIA_TYPE else None
    return f"{answer.status} {problem}" if problem else None
