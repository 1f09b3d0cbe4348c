"""The documentation, the dashboard and the alerts name the metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from prometheus_client import REGISTRY

from models import Failure
from tests.test_docs import documented_in, inline_code_of
from webapp.clouds.outgoing.budgets import Budget
from webapp.monitoring.metrics import PREFIX
from webapp.web.exposition import READ_METRICS

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "deploy" / "grafana" / "image-registry.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def metrics() -> dict[str, tuple[str, ...]]:
    """Return the names of the series of each metric, by its documented name."""
    found: dict[str, tuple[str, ...]] = {
        f"{PREFIX}_{name}": (f"{PREFIX}_{name}",) for name in READ_METRICS
    }
    for each in REGISTRY.collect():
        if each.name.startswith(PREFIX):
            names = tuple(f"{each.name}{suffix}" for suffix in SUFFIXES[each.type])
            found[names[0] if each.type == "counter" else each.name] = names
    return found


def named_in(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}_\w+", text))


def test_every_metric_is_described() -> None:
    described = {name for name in documented_in("operate") if name.startswith(PREFIX)}
    assert described == set(metrics())


def test_the_values_of_labels_are_described_and_begin_with_zero() -> None:
    for metric, values in (
        ("cloud_budget_used_up", Budget),
        ("database_errors", Failure),
    ):
        for value in values:
            name = value.name.lower()
            assert name in inline_code_of("operate"), name
            labels = {"budget" if values is Budget else "reason": name}
            assert REGISTRY.get_sample_value(f"{PREFIX}_{metric}_total", labels) is not None


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    used = named_in(" ".join(target["expr"] for panel in panels for target in panel["targets"]))
    for name, series in metrics().items():
        assert used & set(series), name
    assert used <= {series for names in metrics().values() for series in names}
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_alerts_use_existing_metrics_and_are_described() -> None:
    rules = [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]
    existing = {series for names in metrics().values() for series in names}
    for rule in rules:
        assert named_in(rule["expr"]) <= existing, rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")"), rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
    assert {rule["alert"] for rule in rules} <= documented_in("operate")


def test_the_labels_in_queries_exist() -> None:
    labels = {name for each in REGISTRY.collect() for s in each.samples for name in s.labels}
    labels |= {"cloud", "outcome", "budget", "kind", "work", "reason", "route", "method", "status"}
    labels |= {"instance", "job", "le", "version", "pid"}
    for path in (DASHBOARD, ALERTS):
        for by in re.findall(r"by \(([\w, ]+)\)", path.read_text()):
            assert set(by.split(", ")) <= labels, by
