"""Which stage of a request a stack of frames belongs to. Pure: it is given the places of the frames, innermost first."""

import re
from collections.abc import Iterable

LOOP = "event loop and the rest"
COLLECTOR = "garbage collector"
THREADS = "other threads (bcrypt)"
SQL = "SQLAlchemy"
LAST_USED = "writing “last used”"  # all that a request which only reads has to do with SQLAlchemy, once in five minutes a session

# A stack belongs to the stage of its innermost frame that a rule matches ("file:function"). So what a stage calls in modules
# without a rule (uuid, datetime, our own crypto …) counts for the stage.
RULES: tuple[tuple[str, str], ...] = (
    (r"/uvicorn/(server|main|config)\.py|/app/cli/|/bench/speed/|/python3\.\d+/asyncio/(runners|base_events|events)\.py", LOOP),
    (r"/uvicorn/", "HTTP: sockets and parser"),
    (r"/app/core/edge\.py:.*(_missing|_complete|Finish)", "security headers"),
    (r"/structlog/|/logging/|/app/core/logs\.py", "access log"),
    (r"/app/core/(edge|client)\.py|/app/infra/uvicorn\.py", "edge"),
    (r"/joserfc/|/app/auth/utils\.py:(Tokens|_)", "tokens: read and write"),
    (r"/app/infra/redis|/redis/|/hiredis/|/app/auth/blocklist\.py", "Redis"),
    (r"/app/infra/sessions_", "session row, batched"),
    (r"/psycopg|/app/(wire|statements)\.py", "PostgreSQL driver"),
    (r"/sqlalchemy/|/greenlet/", SQL),
    (r"/app/auth/credentials\.py|/app/core/caller\.py", "who is calling"),
    (r"/app/auth/lanes\.py|/app/core/fastlane\.py", "answer before routing, its JSON"),
    (r"/fastapi/.*(serial|encoders)|/pydantic", "JSON, validation"),
    (r"/fastapi/|/starlette/", "routing, dependencies"),
    (r"/app/(auth|audit|mail|users)/", "the flow's own code"),
)
_COMPILED = tuple((re.compile(pattern), stage) for pattern, stage in RULES)


def stage_of_place(place: str) -> str | None:
    """The stage of one frame."""
    return next((stage for pattern, stage in _COMPILED if pattern.search(place)), None)


def stage_of(places: Iterable[str]) -> str:
    """The stage of a stack."""
    return next((stage for place in places if (stage := stage_of_place(place)) is not None), LOOP)


def in_microseconds(seconds: dict[str, float], total: float) -> dict[str, float]:
    """Each stage's share of a total, greatest first; the loop and rest, which nobody can name, last."""
    whole = sum(seconds.values())
    shared = {stage: round(taken / whole * total, 2) for stage, taken in sorted(seconds.items(), key=lambda item: -item[1])}
    if LOOP in shared:
        shared[LOOP] = shared.pop(LOOP)
    return shared
