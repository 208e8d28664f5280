"""Numbers as metrics. Nothing is counted here: what counts already is read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from app import __version__
from app.audit.facts import Fact
from app.audit.service import Recorded
from app.auth.deps import AuthKit
from app.core.latency import BOUNDS_MS, SIZES, Answered, Kind
from app.core.server import Server
from app.metrics import names
from app.metrics.names import Named
from app.metrics.stored import STATES, Stored

SHOWN_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # of BOUNDS_MS: half the lines
RESULTS = {
    Fact.LOGIN_SUCCEEDED: "succeeded",
    Fact.LOGIN_FAILED: "failed",
    Fact.LOGIN_STEP_OWED: "step_owed",
    Fact.SECOND_FACTOR_FAILED: "second_factor_failed",
    Fact.LOGIN_STOPPED: "account_stopped",
}
UNTRIED = ("too_many_tries", "overloaded")
OFF = "off"
Labels = TypeVar("Labels", bound=tuple[str, ...])


def own(server: Server, checks: Mapping[str, str], stored: Stored | None) -> Iterator[Metric]:
    """What this process knows; `checks` is what /health/ says."""
    kit = server.kit(AuthKit)
    yield _family(names.INFO, {(__version__,): 1})
    yield from _answers(list(server.latency.answered.items()))
    recorded = server.kit(Recorded).counts
    yield _family(
        names.LOGINS,
        {(result,): recorded[fact] for fact, result in RESULTS.items()} | {(why,): kit.refused[why] for why in UNTRIED},
    )
    yield _family(names.FACTS, {(fact.value,): recorded[fact] for fact in Fact})
    yield _family(names.LIMITED, {(rule,): count for rule, count in sorted(server.limits.refused.items())})
    yield _family(names.HASHING, {("running",): kit.pool.running, ("waiting",): kit.pool.waiting})
    yield _family(names.HASHING_THREADS, {(): kit.pool.threads})
    yield _family(names.HASHING_FREE, {(): kit.pool.places_left})
    yield _family(names.SHED, {(): kit.pool.shed})
    yield _batches(server)
    yield _family(names.UP, {(check,): state == "ok" for check, state in checks.items() if state != OFF})
    if server.refusals is not None:
        yield _family(names.REDIS_PAUSED, {(): not server.refusals.healthy})
        yield _family(names.REDIS_UNANSWERED, {(): server.refusals.unanswered})
    pools = server.database.pools()
    in_use = {(pool, "in_use"): float(of.in_use) for pool, of in pools.items()}
    yield _family(names.CONNECTIONS, in_use | {(pool, "idle"): of.idle for pool, of in pools.items()})
    yield _family(names.CONNECTIONS_MOST, {(pool,): of.most for pool, of in pools.items()})
    yield _family(names.STORED_UP, {(): stored is not None})


def of_stored(stored: Stored) -> Iterator[Metric]:
    """What waits in the database."""
    counts = {(kind, state): count for kind, of in stored.jobs.items() for state, count in zip(STATES, of, strict=True)}
    yield _family(names.JOBS, counts)
    yield _family(names.JOBS_LATE, {(): stored.jobs_late_seconds})
    yield _family(names.UNSEALED, {(): stored.unsealed_seconds})
    yield _family(names.FOREIGN, {(): stored.has_foreign_rows})


def _family(named: Named, values: Mapping[Labels, float]) -> Metric:
    kind = CounterMetricFamily if named.kind == "counter" else GaugeMetricFamily
    family = kind(named.name, named.words, labels=named.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _answers(answered: Sequence[tuple[Kind, Answered]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(names.REQUESTS.name, names.REQUESTS.words, labels=names.REQUESTS.labels)
    durations = HistogramMetricFamily(names.DURATION.name, names.DURATION.words, labels=names.DURATION.labels)
    for (method, route, hundreds), steps in answered:
        labels = (method, route or "none", f"{hundreds}xx" if hundreds else "none")
        counts = list(steps.counts)  # as they are now: both metrics say the same
        requests.add_metric(labels, sum(counts) + steps.streamed)
        durations.add_metric(labels, _buckets(BOUNDS_MS, counts, SHOWN_MS, 1000), steps.sum / 1000)
    yield requests
    yield durations


def _batches(server: Server) -> Metric:
    family = HistogramMetricFamily(names.BATCH.name, names.BATCH.words, labels=names.BATCH.labels)
    shared = {"sessions": server.sessions, "refreshes": server.rotations, "blocklist": server.refusals}
    for name, port in shared.items():
        if port is not None:
            family.add_metric((name,), _buckets(SIZES, list(port.batches.counts), SIZES, 1), port.batches.sum)
    return family


def _buckets(bounds: Sequence[int], counts: Sequence[int], shown: Iterable[int], unit: int) -> list[tuple[str, float]]:
    """How many were within each bound that is shown, in units of so many."""
    within = dict(zip(bounds, accumulate(counts), strict=False))
    return [*((str(bound / unit), float(within[bound])) for bound in shown), ("+Inf", float(sum(counts)))]
