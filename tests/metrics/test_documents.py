"""docs/metrics.md has every metric, with its kind, labels and words, in the code's own order."""

import re

from app.auth.deps import AuthKit
from app.core.latency import BOUNDS_MS
from app.core.server import Server
from app.jobs.sockets import HANDLERS
from app.metrics import families, names
from tests.support.processes import ROOT

DOCS = (ROOT / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `((?:authkeep|process)_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)


def test_every_metric_is_in_the_tables_as_the_code_has_it() -> None:
    told = [
        names.Named(name, kind, tuple(filter(None, labels.split(", "))), words) for name, kind, labels, words in ROW.findall(DOCS)
    ]
    assert told == list(names.EVERY)


def test_every_result_of_a_login_is_explained() -> None:
    for result in (*families.RESULTS.values(), *families.UNTRIED):
        assert f"`{result}`" in DOCS, result


def test_every_kind_of_mail_is_named(server: Server) -> None:
    told = set(re.findall(r"`([a-z-]+)`", DOCS.partition("Mails are the jobs")[2].partition("Kinds that")[0]))
    assert told <= {each.kind for each in HANDLERS.of(server.parts)} | {"magic-link"}
    not_mails = {"bulk", "bulk-tidy", "erasure", "webhook", "webhook-tidy"}
    assert {each.kind for each in HANDLERS.of(server.parts)} - not_mails <= told


def test_buckets_are_some_of_those_that_are_counted(server: Server) -> None:
    assert set(families.SHOWN_MS) <= set(BOUNDS_MS)
    assert families.SHOWN_MS[-1] == BOUNDS_MS[-1]
    assert server.kit(AuthKit).refused == {}
