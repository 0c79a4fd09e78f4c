"""The real Prometheus scrapes the exporter, and answers."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from exporter_contract import HOSTILE, cached, call, label, program

from pyresilience import CacheConfig, CircuitBreakerConfig, FallbackConfig, RetryConfig, resilient
from pyresilience.exporters import PrometheusExporter

ALERTS = Path(__file__).parents[2] / "deploy/prometheus-alerts.yml"
CONFIG = """
global:
  scrape_interval: 250ms
  scrape_timeout: 250ms
  evaluation_interval: 250ms
rule_files: [{alerts}]
scrape_configs:
  - job_name: shop
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


@pytest.fixture(params=["client", "own"])
def exporter(request):
    """Exporters in both hands."""
    exporter = PrometheusExporter(port=0, use_prometheus_client=request.param == "client")
    yield exporter
    exporter.stop()


class Prometheus:
    """A running Prometheus, asked through its HTTP API."""

    def __init__(self, url):
        self.url = url

    def get(self, path, **query):
        """What the API says; None: it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=10) as reply:
                return json.load(reply)["data"]
        except (OSError, KeyError, ValueError):
            return None

    def ask(self, query):
        """The answer to a query: `{labels: value}`."""
        found = self.get("/api/v1/query", query=query)
        rows = found["result"] if found else []
        return {frozenset(row["metric"].items()): float(row["value"][1]) for row in rows}

    def value(self, query):
        """The one value that a query gives; None: it gives none."""
        rows = self.ask(query)
        assert len(rows) <= 1
        return next(iter(rows.values()), None)


@pytest.fixture
def prometheus(tmp_path, free_tcp_port_factory, until):
    """Start a Prometheus that scrapes a port; it is ended at the end."""
    binary, processes = program("prometheus"), contextlib.ExitStack()

    def start(port):
        own = free_tcp_port_factory()
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(alerts=ALERTS, port=port))
        log = processes.enter_context((tmp_path / "log").open("wb"))
        command = [
            binary, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", "--log.level=warn",
            f"--web.listen-address=127.0.0.1:{own}",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
        processes.callback(process.wait)
        processes.callback(process.kill)
        server = Prometheus(f"http://127.0.0.1:{own}")

        def ready():
            assert process.poll() is None, (tmp_path / "log").read_text()
            return server.get("/api/v1/status/buildinfo")

        until(ready, "Prometheus")
        return server

    with processes:
        yield start


def is_well(prometheus):
    """Whether its last scrape was; one that took too long is not, and its figures are unknown until the next."""
    found = prometheus.get("/api/v1/targets")
    target = found["activeTargets"][0] if found and found["activeTargets"] else {}
    return (target.get("health"), target.get("lastError")) == ("up", "")


def test_a_query_gives_what_was_counted(exporter, prometheus, until):
    """Counters, gauges, histograms and states are those of the function; later scrapes follow it."""

    @resilient(
        cache=CacheConfig(enable_metrics=True),
        retry=RetryConfig(max_attempts=2, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=2),
        fallback=FallbackConfig(handler=0),
    )
    def price(item):
        if item == "bad":
            raise OSError
        return item

    exporter.register_function(price)
    exporter.start()
    server = prometheus(exporter.port)
    call(price, 4)
    price("bad")
    select = f'{{job="shop",function="{label(price)}"}}'
    until(lambda: server.value(f"pyresilience_cache_hits_total{select}") == 4)
    until(lambda: server.value(f"pyresilience_cache_misses_total{select}") == 2)
    until(lambda: is_well(server), "a good scrape")

    def known(query):
        return until(lambda: server.ask(query), query)

    def the_one(query):
        [one] = known(query).values()
        return one

    assert the_one(f"pyresilience_cache_hit_ratio{select}") == pytest.approx(4 / 6)
    assert the_one(f"pyresilience_retries_total{select}") == 1
    states = {dict(labels)["state"]: value for labels, value in known(f"pyresilience_circuit_state{select}").items()}
    assert states == {"closed": 0, "half_open": 0, "open": 1}
    duration = "pyresilience_cache_operation_duration_seconds"
    assert the_one(f'{duration}_count{{result="miss"}}') == 2
    quantile = the_one(f'histogram_quantile(0.5, {duration}_bucket{{result="hit"}})')
    assert 1e-8 < quantile < 1
    call(price, 9)
    until(lambda: server.value(f"pyresilience_cache_hits_total{select}") == 14)
    alerts = until(lambda: (server.get("/api/v1/alerts") or {"alerts": []})["alerts"])
    named = {each["labels"]["alertname"] for each in alerts}
    assert named == {"PyresilienceCircuitOpen"}


def test_hostile_names_do_not_break_the_scrape(exporter, prometheus, until):
    """Every function arrives, whatever it is called, and nothing else does."""
    functions = list(map(cached, HOSTILE))
    for f in functions:
        exporter.register_function(f)
        call(f, 2)
    exporter.start()
    server = prometheus(exporter.port)
    found = until(lambda: server.ask("pyresilience_cache_hits_total"))
    assert len(found) == len(functions)
    assert set(found.values()) == {2.0}
    seen = {dict(labels)["function"] for labels in found}
    assert {label(f) for f in functions if label(f).replace("\n", "").isprintable() and len(label(f)) < 1000} <= seen
    until(lambda: is_well(server), "a good scrape")
    assert server.ask("evil_total") == {}
    names = server.get("/api/v1/label/__name__/values")
    assert all(name.startswith(("pyresilience_", "scrape_", "up", "ALERTS")) for name in names)


@pytest.mark.parametrize("names", [["plain"], HOSTILE], ids=["plain", "hostile"])
def test_promtool_finds_nothing_amiss(exporter, names):
    """`promtool check metrics` accepts the text and has no advice."""
    for name in names:
        f = cached(name, circuit_breaker=CircuitBreakerConfig(), retry=RetryConfig())
        exporter.register_function(f)
        call(f, 3)
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=exporter.text().encode(), capture_output=True, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
