"""PrometheusExporter: what it serves, and to whom."""

import contextlib
import re
import socket
import threading
import time

import pytest
from exporter_contract import HOSTILE, ExporterContract, cached, call, label
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyresilience import CacheConfig, CircuitBreakerConfig, FallbackConfig, RetryConfig, resilient
from pyresilience.exporters import PrometheusExporter
from pyresilience.http.server import Limits
from pyresilience.metrics import CacheMetrics
from pyresilience.metrics.families import CATALOGUE
from pyresilience.metrics.state import State

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SCRAPER = f"{OPENMETRICS},application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
"""What Prometheus sends."""


@pytest.fixture(params=["client", "own"])
def client(request):
    """Whether the client library writes the text."""
    return request.param == "client"


@pytest.fixture
def make(client):
    """Make exporters on free ports that are stopped at the end."""
    made = []

    def make(**settings):
        made.append(PrometheusExporter(**{"port": 0, "use_prometheus_client": client, **settings}))
        return made[-1]

    yield make
    for exporter in made:
        exporter.stop()


@pytest.fixture
def exporter(make):
    return make()


def samples(text, parse=parse_text):
    """Every sample of *text*: `{(name, labels): value}`."""
    found = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(text, name, **labels):
    return samples(text).get((name, frozenset(labels.items())))


class TestContract(ExporterContract):
    """It keeps what every exporter keeps, in both hands."""

    @pytest.fixture
    def exporter(self, make):
        return make()

    @pytest.fixture(autouse=True)
    def _fetch(self, fetch):
        self.fetch = fetch

    def hits(self, exporter, label):
        reply = self.fetch(exporter.url)
        assert reply.status == 200
        return value(reply.text, "pyresilience_cache_hits_total", function=label)


def rich():
    """A function with something to say in every family."""

    @resilient(
        cache=CacheConfig(enable_metrics=True, max_size=2, max_weight="1MB"),
        retry=RetryConfig(max_attempts=2, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=4),
        fallback=FallbackConfig(handler=-1),
    )
    def rich(x):
        if x < 0:
            raise ValueError
        return x

    for x in (1, 2, 3, 1, 1, -1, -2, -3):
        rich(x)
    return rich


def test_every_family_of_the_catalogue_is_served(exporter, fetch):
    """A function with a cache and a circuit has a value in each family."""
    exporter.register_function(rich())
    exporter.start()
    text = fetch(exporter.url).text
    assert {f"# TYPE {metric.prometheus} {metric.kind}" for metric in CATALOGUE} == set(
        re.findall(r"^# TYPE .*", text, re.MULTILINE)
    )


def test_the_values_are_those_of_the_metrics(exporter, fetch):
    """What is served is what `get_stats()` says."""
    f = rich()
    exporter.register_function(f)
    exporter.start()
    text, name, stats = fetch(exporter.url).text, label(f), f.metrics.get_stats()
    assert value(text, "pyresilience_cache_hits_total", function=name) == stats.hits == 1
    assert value(text, "pyresilience_cache_misses_total", function=name) == stats.misses == 7
    assert value(text, "pyresilience_cache_entries", function=name) == stats.entry_count == 2
    assert value(text, "pyresilience_cache_hit_ratio", function=name) == stats.hit_ratio
    assert value(text, "pyresilience_calls_total", function=name, outcome="fallback") == 3
    assert value(text, "pyresilience_calls_total", function=name, outcome="success") == 4
    assert value(text, "pyresilience_circuit_state", function=name, state="open") == 1
    assert value(text, "pyresilience_circuit_state", function=name, state="closed") == 0
    assert value(text, "pyresilience_cache_evictions_total", function=name, cause="size") == 2
    bucket = "pyresilience_cache_operation_duration_seconds_bucket"
    assert value(text, bucket, function=name, result="miss", le="+Inf") == 7


def test_both_hands_write_the_same(fetch):
    """With and without the client library: the same families, help, types, samples, labels and values."""
    functions = [rich(), *map(cached, HOSTILE)]
    texts = {}
    for client in (True, False):
        exporter = PrometheusExporter(port=None, use_prometheus_client=client)
        for f in functions:
            exporter.register_function(f)
        texts[client] = [exporter.text(), exporter.text(OPENMETRICS)]
    for parse, one, other in zip((parse_text, parse_openmetrics), *texts.values(), strict=True):
        assert samples(one, parse) == samples(other, parse)
        facts = [
            [(each.name, each.documentation, each.type, each.unit) for each in parse(text)] for text in (one, other)
        ]
        assert facts[0] == facts[1]
        comments = [[line for line in text.split("\n") if line.startswith("#")] for text in (one, other)]
        assert comments[0] == comments[1]


@pytest.mark.parametrize(
    ("accept", "exact"),
    [
        (None, False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        (SCRAPER, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=2.0.0", False),
        ("APPLICATION/OpenMetrics-Text ; Version=1.0.0 ; Q=0.3", True),
        (f"{OPENMETRICS};q=0.4,text/plain;version=0.0.4;q=0.5", False),
        (f"{OPENMETRICS};q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=1", True),
        (f"{OPENMETRICS};q=0,*/*;q=0.1", False),
        (f"{OPENMETRICS};q=0,text/plain;q=0", False),
        (f"{OPENMETRICS};q=0.5,text/*;q=0.6", False),
        (f"{OPENMETRICS};q=0.5;escaping=allow-utf-8,text/plain;version=1.0.0;q=0.9,text/plain;q=0.2", True),
        (f"{OPENMETRICS};q=lots", False),
        (f"{OPENMETRICS},text/plain", False),
        (";;,,=;q", False),
    ],
)
def test_the_format_is_negotiated(exporter, fetch, accept, exact):
    """The scraper's `Accept` header decides, by quality; whoever does not care gets the text format."""
    exporter.register_function(rich())
    exporter.start()
    reply = fetch(exporter.url, headers={} if accept is None else {"Accept": accept})
    assert reply.text.endswith("# EOF\n") == exact
    kind = "application/openmetrics-text; version=1.0.0" if exact else "text/plain; version=0.0.4"
    assert reply.content_type == f"{kind}; charset=utf-8"
    assert samples(reply.text, parse_openmetrics if exact else parse_text)


def test_openmetrics_says_units(exporter):
    """Families in seconds and bytes say so; what a counter's family is called is without its suffix."""
    exporter.register_function(rich())
    lines = exporter.text(OPENMETRICS).splitlines()
    assert "# UNIT pyresilience_cache_operation_duration_seconds seconds" in lines
    assert "# UNIT pyresilience_cache_size_bytes bytes" in lines
    assert "# TYPE pyresilience_cache_hits counter" in lines


def test_the_seeds_example(client, fetch):
    """The example of the order, on a free port."""
    from pyresilience import resilient

    @resilient(cache=CacheConfig(enable_metrics=True))
    def expensive_function(x):
        return x**2

    exporter = PrometheusExporter(port=0, use_prometheus_client=client)
    exporter.register_function(expensive_function)
    exporter.start()
    expensive_function(2)
    expensive_function(2)
    text = fetch(f"http://localhost:{exporter.port}/metrics").text
    exporter.stop()
    assert value(text, "pyresilience_cache_hits_total", function=label(expensive_function)) == 1


def test_head_other_paths_and_other_methods(exporter, fetch):
    """HEAD is GET without a body; other paths are 404, other methods 405, and nothing is to be stored."""
    exporter.register_function(rich())
    exporter.start()
    whole, head = fetch(exporter.url), fetch(exporter.url, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) == len(whole.body)
    root = exporter.url.removesuffix("/metrics")
    for path in ("/", "/metric", "/metrics/", "/metrics/x", "/../metrics"):
        assert fetch(root + path).status == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        reply = fetch(exporter.url, method)
        assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")
    for reply in (whole, head, fetch(root), fetch(exporter.url, "POST")):
        assert reply.headers["Cache-Control"] == "no-store"
    assert fetch(f"{exporter.url}?x=1").status == 200


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_names_cannot_break_the_text(exporter, accept):
    """Each hostile name stands in one label of one line; a reader gets back what it can hold."""
    functions = list(map(cached, HOSTILE))
    for f in functions:
        exporter.register_function(f)
    text = exporter.text(accept)
    for line in text.splitlines():  # which splits at more than newlines
        assert line.startswith(("#", "pyresilience_")), line
    assert "evil_total " not in text
    parse = parse_openmetrics if accept else parse_text
    seen = {labels for name, labels in samples(text, parse) if name == "pyresilience_cache_hits_total"}
    assert len(seen) == len(functions)
    for name in filter(None, HOSTILE):
        plain = name.replace("\n", "").isprintable() and len(name) < 1000
        expected = f"exporter_contract.{name}"
        assert (frozenset({("function", expected)}) in seen) == plain, name
    assert all(len(dict(labels)["function"]) <= 1024 for labels in seen)


def test_names_that_look_alike_when_made_safe_are_told_apart(exporter):
    """Long names with the same beginning, and characters that must be replaced, keep labels of their own."""
    names = ["a" * 5000 + end for end in "bc"] + ["nul\x00", "nul\x01", r"nul\x00", "nul\ud800", "nul\ud801"]
    for name in names:
        exporter.export_metrics(name, CacheMetrics())
    seen = {labels for name, labels in samples(exporter.text()) if name == "pyresilience_cache_hits_total"}
    assert len(seen) == len(names)


def test_two_functions_of_one_label_are_added_up(exporter):
    """No label stands twice, which would break the scrape."""
    one, other = cached("same"), cached("same")
    for f in (one, other):
        exporter.register_function(f)
        call(f, 2)
    assert value(exporter.text(), "pyresilience_cache_hits_total", function=label(one)) == 4


def test_a_state_that_makes_no_sense_costs_nobody_else(exporter, monkeypatch, caplog):
    """What cannot be written as a number is left out, which is logged once."""
    good = cached("good")
    exporter.register_function(good)
    real, bad = exporter.states, f"bad_{time.monotonic_ns()}"  # what is logged once, is so for ever
    monkeypatch.setattr(exporter, "states", lambda detailed=False: [*real(), State(bad, listener_errors=10**400)])
    for _ in range(3):
        seen = samples(exporter.text())
        assert ("pyresilience_cache_hits_total", frozenset({("function", label(good))})) in seen
        assert not any(("function", bad) in labels for _, labels in seen)
    assert len(caplog.records) == 1
    assert bad in caplog.text


def test_a_taken_port_is_told(make):
    """The error names the port, and nothing is left half-started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        exporter = make(port=port)
        with pytest.raises(OSError, match=f"port {port}: .*choose another"):
            exporter.start()
    exporter.start()
    assert exporter.port == port


def test_without_a_server(make):
    """With port None nothing listens; the text is there for a server of one's own."""
    exporter = make(port=None)
    f = cached("unserved")
    exporter.register_function(f)
    before = set(threading.enumerate())
    exporter.start()
    call(f, 3)
    assert set(threading.enumerate()) <= before
    assert (exporter.port, exporter.url) == (None, "")
    kind, body = exporter.exposition(SCRAPER)
    assert kind.startswith("application/openmetrics-text")
    assert value(body.decode(), "pyresilience_cache_hits_total", function=label(f)) == 3


def test_a_registry_is_joined(fetch):
    """The application's metrics are served beside ours, which leave its registry at the stop."""
    registry = CollectorRegistry()
    orders = Counter("shop_orders", "Orders.", registry=registry)
    orders.inc(3)
    exporter = PrometheusExporter(port=0, registry=registry)
    f = cached("joined")
    exporter.register_function(f)
    for _ in range(2):
        assert value(exporter.text(), "pyresilience_cache_hits_total", function=label(f)) == 0
        exporter.start()
        call(f, 0)
        for accept in ("", SCRAPER):
            text = fetch(exporter.url, headers={"Accept": accept}).text
            assert "shop_orders_total 3.0" in text
            assert text.count("# TYPE pyresilience_cache_hits") == 1
        assert registry.get_sample_value("pyresilience_cache_misses_total", {"function": label(f)}) == 1
        exporter.stop()
        assert registry.get_sample_value("pyresilience_cache_misses_total", {"function": label(f)}) is None
        f.cache.clear()
        f.metrics.reset()


def test_a_registry_that_has_these_names_is_told():
    """Two exporters in one registry would break the scrape: the second is refused, and may be used elsewhere."""
    registry = CollectorRegistry()
    first, second = (PrometheusExporter(port=0, registry=registry) for _ in range(2))
    first.start()
    with pytest.raises(ValueError, match="another PrometheusExporter"):
        second.start()
    first.stop()
    second.start()
    second.stop()


def test_a_registry_needs_the_client_library():
    """A contradiction is told when it is made."""
    with pytest.raises(ValueError, match="registry="):
        PrometheusExporter(port=0, use_prometheus_client=False, registry=CollectorRegistry())


def test_a_broken_collector_of_the_application_costs_only_itself(caplog):
    """When the registry cannot be read, our own metrics are served, which is logged once."""
    registry = CollectorRegistry()
    Gauge("broken", "Raises.", registry=registry).set_function(lambda: 1 / 0)
    exporter = PrometheusExporter(port=None, registry=registry)
    f = cached("unhurt")
    exporter.register_function(f)
    for accept in ("", OPENMETRICS):
        assert f'pyresilience_cache_hits_total{{function="{label(f)}"}} 0.0' in exporter.text(accept)
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_without_the_client_library(script):
    """Where it is not installed, the text is written without it."""
    assert script("""
        import sys
        sys.modules["prometheus_client"] = None
        from pyresilience import CacheConfig, resilient
        from pyresilience.exporters import PrometheusExporter
        @resilient(cache=CacheConfig(enable_metrics=True))
        def f(): return 1
        f()
        exporter = PrometheusExporter(port=0)
        exporter.register_function(f)
        exporter.start()
        from urllib.request import urlopen
        lines = urlopen(exporter.url).read().decode().splitlines()
        print([line for line in lines if "misses_total{" in line][0].replace(" ", "|"))
    """) == ['pyresilience_cache_misses_total{function="__main__.f"}|1.0']


def test_the_client_library_is_loaded_by_the_exporter_alone(script):
    """Importing the library, its exporters included, loads no server and no client."""
    assert script("""
        import sys
        import pyresilience, pyresilience.metrics, pyresilience.exporters
        print({"prometheus_client", "socket", "http.server", "asyncio"} & set(sys.modules) or "none")
    """) == ["none"]


def test_stuck_clients_do_not_hold_up_a_scrape(exporter, fetch):
    """With 200 clients that connect and say nothing, a scrape is answered, and functions are called."""
    f = cached("unstuck")
    exporter.register_function(f)
    exporter._server.limits = Limits(request_seconds=3600)  # nobody is seen out for being late
    exporter.start()
    with contextlib.ExitStack() as stuck:
        for _ in range(200):
            stuck.enter_context(socket.create_connection(("127.0.0.1", exporter.port), timeout=20))
        call(f, 3)
        assert value(fetch(exporter.url).text, "pyresilience_cache_hits_total", function=label(f)) == 3


def test_scrapes_at_once(exporter, fetch):
    """Many scrapes while functions are called: each is whole, and counts never go down."""
    f = cached("scraped")
    exporter.register_function(f)
    exporter.start()
    f(1)
    ends, seen = threading.Event(), []

    def work():
        while not ends.is_set():
            f(1)

    def scrape():
        mine = [value(fetch(exporter.url).text, "pyresilience_cache_hits_total", function=label(f)) for _ in range(10)]
        seen.append(mine == sorted(mine))

    worker = threading.Thread(target=work)
    scrapers = [threading.Thread(target=scrape) for _ in range(4)]
    for thread in (worker, *scrapers):
        thread.start()
    for thread in scrapers:
        thread.join()
    ends.set()
    worker.join()
    assert seen == [True] * 4
    exact = f.metrics.get_stats().hits
    assert value(fetch(exporter.url).text, "pyresilience_cache_hits_total", function=label(f)) == exact


def test_it_may_be_stopped_while_it_is_scraped(exporter, monkeypatch):
    """Stopping waits for no scraper for long, and a scraper gets a whole answer or none."""
    monkeypatch.setattr("pyresilience.http.server.GRACE", 20.0)
    f = cached("stopped")
    exporter.register_function(f)
    exporter.start()
    port, ends, odd = exporter.port, threading.Event(), []

    def scrape():
        while not ends.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                    client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                    said = b"".join(iter(lambda: client.recv(65536), b""))
            except OSError:  # it does not listen at the moment
                continue
            head, _, body = said.partition(b"\r\n\r\n")
            if said and f"Content-Length: {len(body)}".encode() not in head:
                odd.append(said)

    scrapers = [threading.Thread(target=scrape) for _ in range(3)]
    for thread in scrapers:
        thread.start()
    again = PrometheusExporter(port=port)
    for _ in range(5):
        exporter.stop()
        again.start()
        call(f, 20)
        again.stop()
    ends.set()
    for thread in scrapers:
        thread.join()
    assert odd == []
