"""One scrape: look at everything at once, within about a second, and write it down in a thread."""

import asyncio
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from app.core.crypto import equal
from app.core.health import HEALTH
from app.core.server import Server
from app.health.service import Report, report
from app.jobs.sockets import HANDLERS
from app.metrics import families
from app.metrics.stored import Reader, Stored

OPEN_METRICS = "application/openmetrics-text"
Seen = tuple[Report, Stored | None]


class Scraper:
    """Answers scrapes. Those that come while one looks share what it sees: no number of them is a load on the database."""

    def __init__(self, server: Server) -> None:
        self._server = server
        token = server.settings.METRICS_TOKEN
        self._token = token.get_secret_value().encode() if token else None
        self._process = ProcessCollector(registry=None)
        self._reader = Reader(server.database, {each.kind for each in HANDLERS.of(server.parts)}, server.clock)
        self._looking: asyncio.Task[Seen] | None = None

    def admits(self, token: str | None) -> bool:
        """Whether who sent this bearer token may have the numbers."""
        return self._token is None or (token is not None and equal(token.encode(), self._token))

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """All metrics, and the media type they are written in: OpenMetrics for who accepts it, else Prometheus' own."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        seen = await asyncio.shield(self._looking)
        return await asyncio.to_thread(self._written, seen, in_open_metrics=OPEN_METRICS in accept)

    async def close(self) -> None:
        """Look no more; whoever waits for a look gets it, since it is a matter of a second."""
        if self._looking is not None:
            await asyncio.wait({self._looking})
        await self._reader.close()

    async def _look(self) -> Seen:
        return await asyncio.gather(report(HEALTH.of(self._server.parts)), self._reader.read())

    def _written(self, seen: Seen, *, in_open_metrics: bool) -> tuple[bytes, str]:
        health, stored = seen
        found = [*families.own(self._server, health.checks, stored), *self._process.collect()]
        all_of_them = _Given([*found, *families.of_stored(stored)] if stored else found)
        if in_open_metrics:
            written: bytes = openmetrics.generate_latest(all_of_them)  # type: ignore[no-untyped-call]  # left untyped there
            return written, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(all_of_them), CONTENT_TYPE_PLAIN_0_0_4


class _Given:
    """A collector that has collected."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        return self._metrics
