"""deploy/: every name, label and value in the alerts and the dashboard is one that the server tells; each alert fires."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.audit.facts import Fact
from app.core.health import HEALTH
from app.core.server import Server
from app.metrics import families, names
from app.metrics.stored import STATES
from tests.support.processes import ROOT

PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana" / "authkeep.json"
RULES = PROMETHEUS / "authkeep.rules.yml"
OF_PROMETHEUS = {"job", "instance"}  # labels that a scrape adds
SELECTOR = re.compile(r"\b((?:authkeep|process)_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
WORDS = re.compile(r"[a-z_]+")
FUNCTIONS = {"abs", "bool", "by", "count", "histogram_quantile", "increase", "max", "min", "rate", "sum", "topk"}
CALM = """
up{} 1x60
authkeep_up{check="database"} 1x60
authkeep_up{check="migrations"} 1x60
authkeep_up{check="redis"} 1x60
authkeep_up{check="mail"} 1x60
authkeep_stored_up{} 1x60
authkeep_audit_foreign_rows{} 0x60
authkeep_audit_unsealed_seconds{} 1x60
authkeep_jobs{kind="mail", state="dead"} 0x60
authkeep_jobs{kind="mail", state="queued"} 900x60
authkeep_jobs_late_seconds{} 2x60
authkeep_http_requests_total{status="2xx"} 0+6000x60
authkeep_http_requests_total{status="5xx"} 0+6x60
authkeep_http_request_duration_seconds_bucket{route="/auth/me", le="0.1"} 0+6000x60
authkeep_http_request_duration_seconds_bucket{route="/auth/me", le="0.5"} 0+6000x60
authkeep_http_request_duration_seconds_bucket{route="/auth/me", le="+Inf"} 0+6000x60
authkeep_hashing_shed_total{} 7x60
authkeep_logins_total{result="succeeded"} 0+60x60
authkeep_logins_total{result="failed"} 0+60x60
authkeep_logins_total{result="too_many_tries"} 0x60
authkeep_security_events_total{fact="session.theft_detected"} 3x60
authkeep_security_events_total{fact="access.denied"} 0+1x60
authkeep_database_connections{pool="all", state="in_use"} 5x60
authkeep_database_connections{pool="write", state="in_use"} 1x60
authkeep_database_connections_most{pool="all"} 20x60
authkeep_database_connections_most{pool="write"} 1x60
process_open_fds{} 100x60
process_max_fds{} 1024x60
"""
# What makes each alert fire, in the place of the calm series of that beginning; a value a minute.
ALARM = {
    "AuthkeepDown": {"up{": "0x60"},
    "AuthkeepNotReady": {'authkeep_up{check="database"': "0x60"},
    "AuthkeepAuditLogForged": {"authkeep_audit_foreign_rows": "1x60"},
    "AuthkeepErrors": {'authkeep_http_requests_total{status="5xx"': "0+90x60"},
    "AuthkeepSlow": {'authkeep_http_request_duration_seconds_bucket{route="/auth/me", le="0.1"': "0+5000x60"},
    "AuthkeepRedisDown": {'authkeep_up{check="redis"': "0x60"},
    "AuthkeepMailStuck": {'authkeep_up{check="mail"': "0x60"},
    "AuthkeepJobsLate": {"authkeep_jobs_late_seconds": "301x60"},
    "AuthkeepJobsDead": {'authkeep_jobs{kind="mail", state="dead"': "1x60"},
    "AuthkeepSealerBehind": {"authkeep_audit_unsealed_seconds": "61x60"},
    "AuthkeepMetricsIncomplete": {"authkeep_stored_up": "0x60"},
    "AuthkeepLoginsShed": {"authkeep_hashing_shed_total": "0+1x60"},
    "AuthkeepFailedLogins": {'authkeep_logins_total{result="too_many_tries"': "0+400x60"},
    "AuthkeepSessionTheft": {'authkeep_security_events_total{fact="session.theft_detected"': "0x55 1x5"},
    "AuthkeepAccessDenied": {'authkeep_security_events_total{fact="access.denied"': "0+2x60"},
    "AuthkeepConnectionsUsedUp": {'authkeep_database_connections{pool="all", state="in_use"': "19x60"},
    "AuthkeepFilesUsedUp": {"process_open_fds": "900x60"},
}


def alerts() -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(GRAFANA.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def of_dashboard() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def expressions() -> list[str]:
    return [*(rule["expr"] for rule in alerts().values()), *of_dashboard()]


def samples() -> dict[str, set[str]]:
    """The names of samples with their labels."""
    found = {"up": set[str]()}
    for each in names.EVERY:
        labels = set(each.labels)
        if each.kind == "histogram":
            found |= {f"{each.name}_bucket": labels | {"le"}, f"{each.name}_sum": labels, f"{each.name}_count": labels}
        else:
            found[each.name] = labels
    return found


@pytest.fixture
def known(app: FastAPI, server: Server) -> dict[str, set[str]]:
    """The values of labels."""
    states = {*STATES, "running", "waiting", "in_use", "idle"}
    return {
        "status": {"2xx", "3xx", "4xx", "5xx", "none"},
        "state": states,
        "check": {each.name for each in HEALTH.of(server.parts)},
        "fact": {fact.value for fact in Fact},
        "result": {*families.RESULTS.values(), *families.UNTRIED},
        "pool": {"all", "read", "write"},
        "route": {str(context.path) for context in iter_route_contexts(app.routes)},
        "job": {"authkeep", "$job"},
        "instance": {"$instance"},
    }


def wrong_in(expression: str, known: dict[str, set[str]]) -> list[str]:
    """Names, labels and values in an expression that nobody tells."""
    there = samples()
    found = [name for name, _ in SELECTOR.findall(expression) if name not in there]
    for name, matchers in SELECTOR.findall(expression):
        read = MATCHER.findall(matchers)
        if len(read) != matchers.count("="):
            found.append(f"{name}: {matchers}")
        for label, _, text in read:
            if label not in there.get(name, set()) | OF_PROMETHEUS:
                found.append(f"{name}: {label}")
            found += [f"{label}={one}" for one in text.split("|") if one not in known.get(label, set())]
    return found


def test_every_name_label_and_value_is_told_by_the_server(known: dict[str, set[str]]) -> None:
    assert len(expressions()) > 45
    assert {expression: wrong for expression in expressions() if (wrong := wrong_in(expression, known))} == {}


@pytest.mark.parametrize(
    "expression",
    [
        "sum(rate(authkeep_requests_total[5m]))",
        'authkeep_up{chek="database"} == 0',
        'authkeep_up{check=~"database|postgres"} == 0',
        'rate(authkeep_security_events_total{fact="session.theft"}[5m])',
        "authkeep_http_request_duration_seconds > 1",
        'authkeep_jobs{kind="mail" state="dead"}',
    ],
)
def test_one_that_is_not_told_is_found(known: dict[str, set[str]], expression: str) -> None:
    """The control."""
    assert wrong_in(expression, known)


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {name for expression in of_dashboard() for name, _ in SELECTOR.findall(expression)}
    assert {each.name for each in names.EVERY if not {name for name in shown if name.startswith(each.name)}} == {
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
    }


def test_labels_that_are_grouped_by_are_there() -> None:
    there = samples()
    for expression in expressions():
        told = set.union(*(there[name] for name, _ in SELECTOR.findall(expression))) | OF_PROMETHEUS
        for grouped in re.findall(r"by \(([^)]*)\)", expression):
            assert {label.strip() for label in grouped.split(",")} <= told, expression


def test_each_alert_says_how_grave_it_is_and_what_is_wrong_and_the_docs_what_to_do() -> None:
    docs = (ROOT / "docs" / "metrics.md").read_text()
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert f"`{name}`" in docs, name
    assert set(re.findall(r"`(Authkeep\w+)`", docs)) == set(alerts())


def test_the_panels_are_whole() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["title"]
        assert panel["targets"]
        assert all(target["expr"] for target in panel["targets"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


# By Prometheus' own tool.


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (make ci-deps)")
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration_and_the_alerts(promtool: str) -> None:
    assert "17 rules found" in run(promtool, "check", "rules", RULES)
    assert "SUCCESS" in run(promtool, "check", "config", PROMETHEUS / "prometheus.yml")


def test_prometheus_can_read_what_the_dashboard_asks(promtool: str, tmp_path: Path) -> None:
    asked = [expression.replace("$__rate_interval", "5m") for expression in of_dashboard()]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(asked)} rules found" in run(promtool, "check", "rules", file)


def series(changed: dict[str, str]) -> list[dict[str, str]]:
    """What one process tells for an hour: all is calm but for what is changed."""
    found = []
    used: set[str] = set()
    for line in CALM.strip().splitlines():
        name, _, values = line.rpartition(" ")
        for beginning, instead in changed.items():
            if line.startswith(beginning):
                values = instead
                used.add(beginning)
        scraped = name.replace("{", '{job="authkeep", instance="a"' + ("" if name.endswith("{}") else ", "))
        found.append({"series": scraped, "values": values})
    assert used == set(changed)
    return found


def test_each_alert_fires_and_all_of_them_rest_while_all_is_calm(promtool: str, tmp_path: Path) -> None:
    assert set(ALARM) == set(alerts())

    def case(changed: dict[str, str], firing: set[str]) -> dict[str, Any]:
        told = [
            {"eval_time": "58m", "expr": f'count by (alertname) (ALERTS{{alertstate="firing", alertname="{name}"}})'}
            for name in ALARM
        ]
        for each, name in zip(told, ALARM, strict=True):
            labels = f'{{alertname="{name}"}}'
            each["exp_samples"] = [{"labels": labels, "value": 1}] if name in firing else []  # type: ignore[assignment]
        return {"interval": "1m", "input_series": series(changed), "promql_expr_test": told}

    tests = [case({}, set())] + [case(changed, {name}) for name, changed in ALARM.items()]
    file = tmp_path / "alerts.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    assert "SUCCESS" in run(promtool, "test", "rules", file)
