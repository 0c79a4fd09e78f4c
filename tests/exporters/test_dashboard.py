"""The dashboard and the alerts speak of metrics that exist, in a language that Prometheus understands."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest
from exporter_contract import program

from pyresilience.metrics.exporters.prometheus_text import samples
from pyresilience.metrics.families import CATALOGUE, Point
from pyresilience.metrics.latencies import Latencies
from pyresilience.metrics.run_metrics import OUTCOMES, STAGES
from pyresilience.metrics.state import STATES

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy/grafana-dashboard.json"
ALERTS = ROOT / "deploy/prometheus-alerts.yml"
VALUES = {
    "outcome": set(OUTCOMES),
    "stage": set(STAGES),
    "state": set(STATES),
    "result": {"hit", "miss"},
    "cause": {"size", "expired", "invalidated"},
}
"""What our labels may hold."""


def known_names():
    """The name of every sample there may be, and its labels."""
    found = {}
    for metric in CATALOGUE:
        value = Latencies() if metric.kind == "histogram" else 0.0
        for sample in samples(metric, [Point(tuple("x" for _ in metric.labels), value)]):
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


NAMES = known_names()


@pytest.fixture
def maker():
    """The script that makes the dashboard."""
    spec = importlib.util.spec_from_file_location("make_dashboard", ROOT / "scripts/make_dashboard.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dashboard():
    return json.loads(DASHBOARD.read_text())


def queries(dashboard):
    """Every query as Grafana would send it."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*").replace("$function", ".*")
            assert "$" not in text
            yield text


def assert_known(expression):
    """Every metric, label and value in *expression* exists."""
    names = re.findall(r"\bpyresilience_\w+", expression)
    assert names, expression
    assert set(names) <= NAMES.keys(), set(names) - NAMES.keys()
    for name, inside in re.findall(r"\b(pyresilience_\w+)\{([^}]*)\}", expression):
        for label, relation, value in re.findall(r'(\w+)(=~|=|!=|!~)"([^"]*)"', inside):
            assert label in NAMES[name] | {"job"}, f"{name} has no label {label}"
            if label in VALUES and value != ".*":
                assert set(value.split("|")) <= VALUES[label], (label, relation, value)
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        for label in re.split(r",\s*", grouped):
            assert label == "job" or all(label in NAMES[name] for name in names), (label, expression)


def test_the_dashboard_is_what_its_script_makes(maker):
    """Whoever changes one has changed the other."""
    assert DASHBOARD.read_text() == maker.text()


def test_the_dashboard_names_what_exists(dashboard):
    """Metrics, labels and their values are those of the catalogue."""
    found = list(queries(dashboard))
    assert len(found) > 20
    for query in found:
        assert_known(query)
    for variable in dashboard["templating"]["list"][1:]:
        assert_known(variable["query"]["query"])


def test_each_metric_is_on_the_dashboard(dashboard):
    """Nothing is measured that an operator would not see."""
    text = " ".join(queries(dashboard))
    shown = {metric.key for metric in CATALOGUE if metric.prometheus in text}
    computed = {"cache.hit_ratio"}  # drawn from hits and misses, which tells the ratio of the moment
    assert {metric.key for metric in CATALOGUE} - shown == computed


def test_the_panels_fit(dashboard):
    """Each has an id, a title and an explanation of its own, and none lies on another."""
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["description"] for panel in panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_prometheus_understands_the_queries(dashboard, tmp_path):
    """Each is a rule that `promtool` accepts."""
    rules = [{"record": f"query_{place}", "expr": query} for place, query in enumerate(queries(dashboard))]
    path = tmp_path / "rules.json"  # which is YAML, too
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = subprocess.run([program("promtool"), "check", "rules", path], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_the_alerts_name_what_exists():
    """Metrics, labels and their values are those of the catalogue."""
    lines = re.sub(r"#.*", "", ALERTS.read_text())
    expressions = re.findall(r"expr: (?:>-)?(.*?)\n\s+(?:for|labels):", lines, re.DOTALL)
    assert len(expressions) == lines.count("alert: ") > 5
    for each in expressions:
        assert_known(each)


def test_prometheus_understands_the_alerts():
    """`promtool check rules` accepts the file, lint included."""
    command = [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", ALERTS]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_the_alerts_fire_when_they_should():
    """Their own tests pass, and there is one for each of them."""
    cases = ROOT / "deploy/prometheus-alerts-test.yml"
    tested = subprocess.run([program("promtool"), "test", "rules", cases], capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stderr + tested.stdout
    named = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", cases.read_text()))
    assert named == fired
