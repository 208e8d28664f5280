"""Asking for metrics and reading the answer, by the library's own parsers."""

import httpx2
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

TOKEN = "s4Yq8ZtN1kXc7RwB2mVf5HjD9gLp6TaE"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def metrics_in(text: str, *, as_open_metrics: bool = False) -> list[Metric]:
    """Each metric of an answer; fails if the answer is no text of that kind."""
    return list(read_open_metrics(text)) if as_open_metrics else list(read_text(text))  # type: ignore[no-untyped-call]  # left so


def samples_in(text: str) -> Samples:
    """Every sample of an answer, by its name and labels; no two of them are the same."""
    found = [sample for metric in metrics_in(text) for sample in metric.samples]
    samples = {(each.name, frozenset(each.labels.items())): each.value for each in found}
    assert len(samples) == len(found)
    return samples


async def scrape(client: httpx2.AsyncClient) -> Samples:
    """What /metrics says now, on the server's own port."""
    answer = await client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200, answer.text
    return samples_in(answer.text)


def value(samples: Samples, name: str, **labels: str) -> float:
    """One sample's; fails where it is not there."""
    return samples[name, frozenset(labels.items())]
