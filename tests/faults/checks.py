"""What may be wrong with replies, rows and logs: each function returns what it found, so [] means all is well."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from tests.faults.traffic import Reply

ANSWER_SECONDS = 5.0
HEALTH_SECONDS = 1.0 + 1.0  # what is promised, and as much for a machine that runs four of these tests at once


def untimely(replies: Iterable[Reply], *, within: float = ANSWER_SECONDS, unanswered: bool = False) -> list[str]:
    """Replies that are late, missing, a crash, or a 503 that does not say when to ask again; `unanswered` ones may be fine."""
    found = []
    for reply in replies:
        if reply.seconds > within:
            found.append(f"late: {reply}")
        elif reply.status is None:
            if not unanswered:
                found.append(f"no answer: {reply}")
        elif reply.status >= 500 and reply.status != 503:
            found.append(f"crash: {reply}")
        elif reply.status == 503 and not reply.headers.get("retry-after", "").isdigit():
            found.append(f"503 without Retry-After: {reply}")
    return found


def unwell(replies: Iterable[Reply]) -> list[str]:
    """Health pages that were late, and a process that said it was not alive."""
    pages = [reply for reply in replies if reply.what in {"live", "ready", "health"}]
    dead = [f"not alive: {reply}" for reply in pages if reply.what == "live" and reply.status != 200]
    return dead + untimely(pages, within=HEALTH_SECONDS)


def leaks(logs: Mapping[str, str], secrets: Collection[str]) -> list[str]:
    """Passwords, tokens and addresses that got into a log."""
    return [f"{name}: a secret of {len(secret)} characters" for name, log in logs.items() for secret in secrets if secret in log]


def tally(replies: Iterable[Reply]) -> dict[str, dict[str, int]]:
    """How often each kind of request was answered how."""
    counts: dict[str, Counter[str]] = {}
    for reply in replies:
        counts.setdefault(reply.what, Counter())[str(reply.status or "none")] += 1
    return {what: dict(sorted(counter.items())) for what, counter in sorted(counts.items())}


def longest(replies: Iterable[Reply]) -> float:
    """How long the slowest took."""
    return round(max((reply.seconds for reply in replies), default=0.0), 3)
