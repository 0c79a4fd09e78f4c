"""StatsDExporter: what arrives at a real UDP socket."""

import errno
import logging
import os
import re
import socket
import threading
from collections import Counter, defaultdict

import pytest
from exporter_contract import HOSTILE, ExporterContract, cached, call, label, until

from pyresilience import CacheConfig, CircuitBreakerConfig, FallbackConfig, RetryConfig, resilient
from pyresilience.exporters import StatsDExporter
from pyresilience.metrics import CacheMetrics, Latencies, MetricSnapshot
from pyresilience.metrics.exporters import statsd
from pyresilience.metrics.families import CATALOGUE
from pyresilience.metrics.latencies import EDGES
from pyresilience.metrics.snapshot import snapshot

LINE = re.compile(
    r"(?P<name>[A-Za-z0-9_.-]+):(?P<value>\d+(\.\d+)?)\|(?P<type>c|g|ms|d)(\|@(?P<rate>0?\.\d+))?(\|#(?P<tags>.+))?"
)
"""A line, as the daemons' own parsers read it: no exponents, nothing behind."""


class Daemon:
    """A UDP socket that adds up what it receives, as a StatsD daemon does."""

    def __init__(self, family=socket.AF_INET, host="127.0.0.1"):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.datagrams = []
        self.counters = defaultdict(float)
        self.gauges = {}
        self.durations = defaultdict(Counter)
        """By name and tags: each value and how many it stands for."""

    def hear(self, timeout=0.01):
        """Take in what has arrived."""
        self.socket.settimeout(timeout)
        try:
            while True:
                self.datagrams.append(self.socket.recv(65536))
                self.socket.settimeout(0.0)
                for line in self.datagrams[-1].decode().split("\n"):
                    self._take(line)
        except (TimeoutError, BlockingIOError):
            return self

    def _take(self, line):
        found = LINE.fullmatch(line)
        assert found, line
        tags = frozenset(tag.partition(":")[::2] for tag in (found["tags"] or "").split(",") if tag)
        key, value = (found["name"], tags), float(found["value"])
        if found["type"] == "c":
            assert not found["rate"]
            self.counters[key] += value
        elif found["type"] == "g":
            self.gauges[key] = value
        else:
            self.durations[key, found["type"]][value] += int(1 / float(found["rate"])) if found["rate"] else 1

    def lines(self):
        """Every line so far, in order."""
        return [line for datagram in self.datagrams for line in datagram.decode().split("\n")]


def tagged(name, **tags):
    return name, frozenset(tags.items())


@pytest.fixture
def daemon():
    """A daemon on the loopback."""
    daemon = Daemon()
    yield daemon
    daemon.socket.close()


@pytest.fixture
def make(daemon):
    """Make exporters for the daemon that are stopped at the end."""
    made = []

    def make(**settings):
        made.append(StatsDExporter(**{"port": daemon.port, "interval": 3600, **settings}))
        return made[-1]

    yield make
    for exporter in made:
        exporter.stop()


@pytest.fixture
def exporter(make):
    return make()


class TestContract(ExporterContract):
    """It keeps what every exporter keeps, for DogStatsD."""

    @pytest.fixture
    def exporter(self, make):
        return make()

    @pytest.fixture(autouse=True)
    def _hear(self, daemon):
        self.daemon = daemon

    def hits(self, exporter, label):
        exporter.flush()
        return self.daemon.hear().counters.get(tagged("pyresilience.cache.hits", function=label))


class TestPlainContract(ExporterContract):
    """It keeps what every exporter keeps, for plain StatsD."""

    @pytest.fixture
    def exporter(self, make):
        return make(dogstatsd=False)

    @pytest.fixture(autouse=True)
    def _hear(self, daemon):
        self.daemon = daemon

    def hits(self, exporter, label):
        exporter.flush()
        return self.daemon.hear().counters.get(tagged("pyresilience.cache.hits." + label.replace(".", "_")))


def busy():
    """A function whose every metric has something to say."""
    outcomes = iter([ValueError("no"), "yes", *[KeyError("never")] * 9])

    @resilient(
        cache=CacheConfig(enable_metrics=True, max_size=1, max_weight="1MB"),
        fallback=FallbackConfig(handler="instead"),
        retry=RetryConfig(max_attempts=2, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=3),
    )
    def f(x):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    for x in (1, 1, 2, 3):
        f(x)
    return f


def test_every_metric_arrives(exporter, daemon):
    """The names are those of the catalogue, the labels tags, and each kind is sent as what it is."""
    f = busy()
    exporter.register_function(f)
    exporter.flush()
    daemon.hear()
    name = {"function": label(f)}
    assert daemon.counters[tagged("pyresilience.cache.hits", **name)] == 1
    assert daemon.counters[tagged("pyresilience.cache.misses", **name)] == 3
    assert daemon.counters[tagged("pyresilience.calls", **name, outcome="success")] == 1
    assert daemon.counters[tagged("pyresilience.calls", **name, outcome="fallback")] == 2
    assert daemon.counters[tagged("pyresilience.circuit.transitions", **name, state="open")] == 1
    assert daemon.gauges[tagged("pyresilience.circuit.state", **name, state="open")] == 1
    assert daemon.gauges[tagged("pyresilience.circuit.state", **name, state="closed")] == 0
    assert daemon.gauges[tagged("pyresilience.cache.hit_ratio", **name)] == 0.25
    assert sum(daemon.durations[tagged("pyresilience.call.duration", **name), "d"].values()) == 3
    sent = {name for name, _ in [*daemon.counters, *daemon.gauges, *(key for key, _ in daemon.durations)]}
    known = {metric.dotted for metric in CATALOGUE}
    assert sent <= known
    assert {metric.dotted for metric in CATALOGUE if metric.kind != "counter"} <= sent


def test_plain_statsd_has_labels_in_names_and_durations_in_milliseconds(make, daemon):
    """Each label is one level of the name."""
    exporter = make(dogstatsd=False, prefix="shop.eu.")
    metrics = CacheMetrics()
    metrics.record_hit()
    metrics.record_latency(0.25)
    exporter.export_metrics("a.b c", metrics)
    exporter.flush()
    daemon.hear()
    assert not [line for line in daemon.lines() if "#" in line]
    assert daemon.counters[tagged("shop.eu.pyresilience.cache.hits.a_b_c")] == 1
    [value] = daemon.durations[tagged("shop.eu.pyresilience.cache.operation.duration.a_b_c.hit"), "ms"]
    assert value == pytest.approx(250)


def test_counters_are_differences(exporter, daemon):
    """What was sent is not sent again, and what has not changed is not sent at all."""
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    for hits in (3, 0, 2):
        for _ in range(hits):
            metrics.record_hit()
        exporter.flush()
    daemon.hear()
    assert [line for line in daemon.lines() if ".cache.hits:" in line] == [
        "pyresilience.cache.hits:3|c|#function:f",
        "pyresilience.cache.hits:2|c|#function:f",
    ]


def test_a_histogram_is_a_line_per_bucket(exporter, daemon):
    """The lines stand for as many as there were in each bucket, and add up to their sum."""
    told = Latencies(tuple([0] * 10 + [7] + [0] * 4 + [100_000] + [0] * (len(EDGES) - 15)), 8.0)
    exporter.export_metrics("f", snapshot(hits=100_007, misses=0, hit_latency=told, load_latency=Latencies()))
    exporter.flush()
    daemon.hear()
    heard = daemon.durations[tagged("pyresilience.cache.operation.duration", function="f", result="hit"), "d"]
    assert sorted(heard.values()) == [7, 100_000]
    assert sum(value * count for value, count in heard.items()) == pytest.approx(8.0)
    assert len([line for line in daemon.lines() if "duration" in line]) == 2


@pytest.mark.parametrize("count", [2, 3, 7, 10, 49, 1000, 99_999, 123_457, 10**9 + 7, 3**20, 2**50 - 1])
def test_sample_rates_stand_for_the_exact_number(count):
    """Whether the daemon rounds the inverse or cuts it off, it gets the number, and it reads no exponent."""
    text = statsd._rate(count)
    assert re.fullmatch(r"\|@0\.\d+", text)
    assert int(1 / float(text[2:])) == count
    assert round(1 / float(text[2:])) == count


def test_one_has_no_sample_rate():
    """1 of 1 needs none."""
    assert statsd._rate(1) == ""


def test_nothing_is_lost_or_doubled_under_load(make, daemon):
    """Over many intervals, while many threads call, the sums are exact; also those of the last moment."""
    exporter = make(interval=0.002)
    functions = [cached(f"loaded_{n}") for n in range(3)]
    for f in functions:
        exporter.register_function(f)
    ended = threading.Event()

    def listen():
        while not ended.is_set():
            daemon.hear()
        daemon.hear()

    listener = threading.Thread(target=listen)
    listener.start()
    exporter.start()

    def work(place):
        for n in range(2000):
            functions[n % 3](n % 50)
            if n % 500 == place:
                exporter.flush()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exporter.stop()
    ended.set()
    listener.join()
    for f in functions:
        stats, name = f.metrics.get_stats(), label(f)
        assert daemon.counters[tagged("pyresilience.cache.hits", function=name)] == stats.hits
        assert daemon.counters[tagged("pyresilience.cache.misses", function=name)] == stats.misses
        heard = daemon.durations[tagged("pyresilience.cache.operation.duration", function=name, result="hit"), "d"]
        assert sum(heard.values()) == stats.hits
        total = sum(value * count for value, count in heard.items())
        assert total == pytest.approx(stats.hit_latency.total, rel=1e-3)
        runs = daemon.counters[tagged("pyresilience.calls", function=name, outcome="success")]
        assert runs == stats.misses
    assert len(daemon.datagrams) > 20


def test_what_began_anew_is_sent_whole(exporter, daemon):
    """After a `reset()` the counts of the new beginning are sent, and nothing negative."""
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    for _ in range(5):
        metrics.record_hit()
    exporter.flush()
    metrics.reset()
    for _ in range(7):
        metrics.record_miss()
    metrics.record_hit()
    exporter.flush()
    daemon.hear()
    assert daemon.counters[tagged("pyresilience.cache.hits", function="f")] == 6
    assert daemon.counters[tagged("pyresilience.cache.misses", function="f")] == 7


def test_sampled_counts_are_sent_as_they_are(exporter, daemon):
    """Nothing is scaled up."""
    metrics = CacheMetrics(sampling_rate=0.5)
    metrics.skip, metrics.draw = 0, lambda: 0  # each call is drawn
    for _ in range(4):
        metrics.record_hit()
    exporter.export_metrics("f", metrics)
    exporter.flush()
    assert daemon.hear().counters[tagged("pyresilience.cache.hits", function="f")] == 4


def test_datagrams_are_full_and_not_too_long(make, daemon):
    """Lines are put together as far as they fit, and never split."""
    exporter = make(max_datagram=300)
    for n in range(20):
        exporter.export_metrics(f"f{n}", MetricSnapshot(hits=1, misses=1))
    exporter.flush()
    daemon.hear()
    sizes = list(map(len, daemon.datagrams))
    assert max(sizes) <= 300
    lines = [line.encode() for line in daemon.lines()]
    for size, datagram in zip(sizes, daemon.datagrams[1:], strict=False):
        assert size + 1 + len(datagram.split(b"\n")[0]) > 300
    assert len([line for line in lines if b".cache.hits:1|c" in line]) == 20


def test_a_line_that_is_too_long_is_dropped_and_logged_once(make, daemon, caplog):
    """The others are sent."""
    exporter = make(max_datagram=60)
    for name in ("f", "x" * 100, "y" * 100):
        exporter.export_metrics(name, MetricSnapshot(hits=1))
    exporter.flush()
    daemon.hear()
    assert daemon.counters == {tagged("pyresilience.cache.hits", function="f"): 1}
    [record] = caplog.records
    assert "longer than max_datagram=60" in record.getMessage()


def test_hostile_names_break_no_line(exporter, daemon):
    """Whatever a function is called, each line is one that the daemon reads, with tags of at most 200 characters."""
    for name in HOSTILE:
        exporter.export_metrics(name, MetricSnapshot(hits=2))
    exporter.flush()
    daemon.hear()
    found = [tags for name, tags in daemon.counters if name == "pyresilience.cache.hits"]
    assert len(found) == len(HOSTILE)
    for [(key, value)] in found:
        assert key == "function"
        assert value
        assert not set(value) & set("|,#:@ \n\r\t\x00")
        assert len(f"{key}:{value}") <= 200


def test_long_names_stay_apart(make, daemon):
    """Two names that begin alike are two."""
    for exporter in (make(), make(dogstatsd=False)):
        for end in "ab":
            exporter.export_metrics("long." * 100 + end, MetricSnapshot(hits=1))
        exporter.flush()
    daemon.hear()
    assert sorted(daemon.counters.values()) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "tags", [{"env": "prod", "team": "a|b,c#d:e"}, ["env:prod", "team:a|b,c#d:e"]], ids=["mapping", "list"]
)
def test_constant_tags_stand_on_every_line(make, daemon, tags):
    """They are cleaned like all others."""
    exporter = make(tags=tags)
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    assert daemon.hear().counters == {tagged("pyresilience.cache.hits", function="f", env="prod", team="a_b_c_d_e"): 1}


def test_what_is_no_number_is_not_sent(exporter, daemon):
    """A daemon takes a line with NaN for a broken one."""
    exporter.export_metrics("f", MetricSnapshot(hits=1, total_size_bytes=float("nan"), max_entries=float("inf")))
    exporter.flush()
    daemon.hear()
    assert daemon.counters
    assert not [line for line in daemon.lines() if "size" in line or "max_entries" in line]


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6():
    """An address of IPv6 will do, and a name that has no other."""
    try:
        daemon = Daemon(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    exporter = StatsDExporter("::1", daemon.port)
    try:
        exporter.export_metrics("f", MetricSnapshot(hits=1))
        exporter.flush()
        assert daemon.hear().counters
    finally:
        exporter.stop()
        daemon.socket.close()


def test_a_name_of_both_kinds_is_reached_by_ipv4(make, daemon, monkeypatch):
    """Daemons listen there; whether datagrams arrive nobody tells."""
    found = [
        (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", daemon.port, 0, 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", daemon.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    exporter = make(host="both.example")
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    assert daemon.hear().counters


def test_nobody_listens(make, caplog):
    """A port that is closed refuses in vain: nothing is raised, and nothing logged."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    exporter = make(port=port)
    exporter.start()
    for hits in range(1, 6):
        exporter.export_metrics("f", MetricSnapshot(hits=hits))
        exporter.flush()
    exporter.stop()
    assert caplog.records == []


def unknown(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_host_that_is_not_known_yet(make, daemon, monkeypatch, caplog):
    """The program starts; one line says which host; once it is known, everything counted meanwhile is sent."""
    with monkeypatch.context() as lost:
        lost.setattr(socket, "getaddrinfo", unknown)
        exporter = make(host="statsd.example")
        metrics = CacheMetrics()
        exporter.export_metrics("f", metrics)
        exporter.start()
        for _ in range(3):
            metrics.record_hit()
            exporter.flush()
    [record] = caplog.records
    assert "statsd.example" in record.getMessage()
    assert record.exc_info is None
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: socket_of(daemon))
    metrics.record_hit()
    exporter.flush()
    assert daemon.hear().counters[tagged("pyresilience.cache.hits", function="f")] == 4


def socket_of(daemon):
    return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", daemon.port))]


def test_a_host_that_moves_is_followed(make, daemon, monkeypatch):
    """It is looked up again after a minute; as long as nothing is found, the old address will do."""
    other = Daemon()
    exporter = make(host="127.0.0.1")
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)

    def hit():
        metrics.record_hit()
        exporter.flush()

    hit()
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(statsd, "AGAIN", 0.0)
    hit()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: socket_of(other))
    hit()
    key = tagged("pyresilience.cache.hits", function="f")
    assert daemon.hear().counters[key] == 2
    assert other.hear().counters[key] == 1
    other.socket.close()


class Faulty:
    """A socket that fails as often as it is told."""

    family = socket.AF_INET

    def __init__(self, inner, failures, kind):
        self.inner, self.failures, self.kind = inner, failures, kind

    def sendto(self, *args):
        if self.failures:
            self.failures -= 1
            raise self.kind
        return self.inner.sendto(*args)

    def close(self):
        self.inner.close()


@pytest.mark.parametrize("kind", [BlockingIOError(errno.EAGAIN, "full"), OSError(errno.ENETUNREACH, "unreachable")])
def test_what_could_not_be_sent_goes_out_later(make, daemon, caplog, kind):
    """In the middle of a sending the network fails: nothing is lost, nothing doubled, one line is logged."""
    caplog.set_level(logging.INFO, "pyresilience")
    exporter = make(max_datagram=100)
    metrics = [CacheMetrics() for _ in range(10)]
    for n, each in enumerate(metrics):
        exporter.export_metrics(f"f{n}", each)
        each.record_hit()
    exporter._look_up()
    real = exporter._socket
    exporter._socket = Faulty(real, 0, kind)
    sent = iter(range(100))
    exporter._socket.sendto = lambda *args: real.sendto(*args) if next(sent) < 4 else (_ for _ in ()).throw(kind)
    exporter.flush()
    exporter._socket = Faulty(real, 2, kind)
    for each in metrics:
        each.record_hit()
        exporter.flush()
    daemon.hear()
    counts = {key: value for key, value in daemon.counters.items() if key[0].endswith("hits")}
    assert list(counts.values()) == [2] * 10
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_datagram_that_the_system_refuses_is_dropped(make, daemon, caplog):
    """The others are sent, and it does not stand in their way the next time."""
    exporter = make(max_datagram=60)
    for n in range(3):
        exporter.export_metrics(f"f{n}", MetricSnapshot(hits=1))
    exporter._look_up()
    exporter._socket = Faulty(exporter._socket, 1, OSError(errno.EMSGSIZE, "Message too long"))
    exporter.flush()
    exporter.flush()
    assert len(daemon.hear().counters) == 2
    [record] = caplog.records
    assert "smaller max_datagram" in record.getMessage()


def test_the_socket_does_not_block(exporter):
    """A full buffer is an error, not a wait."""
    exporter.start()
    assert exporter._socket.getblocking() is False


def test_the_socket_is_closed_at_the_end(exporter):
    """Also if it was only flushed."""
    exporter.flush()
    found = exporter._socket
    exporter.stop()
    assert found is None or found.fileno() == -1
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    found = exporter._socket
    exporter.stop()
    assert found.fileno() == -1


def test_an_interval_passes_and_it_is_sent(make, daemon):
    """Nobody has to ask."""
    exporter = make(interval="20ms")
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.start()
    until(lambda: daemon.hear().counters, "the first sending")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_sends_its_own(make, daemon):
    """It is stopped there, and once started it sends what the child has counted, and nothing of its parent's."""
    exporter = make(max_datagram=200)
    f = cached("forked")
    exporter.register_function(f)
    exporter.start()
    call(f, 5)
    child = os.fork()
    if child == 0:  # the child
        try:
            exporter.start()
            f(1)
            f(2)
            f(2)
            exporter.stop()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    hits, misses = (tagged(f"pyresilience.cache.{each}", function=label(f)) for each in ("hits", "misses"))
    assert (daemon.hear().counters[hits], daemon.counters[misses]) == (2, 1)
    exporter.stop()
    assert (daemon.hear().counters[hits], daemon.counters[misses]) == (7, 2)


def test_a_program_that_ends_has_sent_everything(script, daemon):
    """It needs no `stop()`."""
    script(f"""
        from pyresilience.exporters import StatsDExporter
        from pyresilience.metrics import CacheMetrics
        exporter, metrics = StatsDExporter(port={daemon.port}), CacheMetrics()
        exporter.export_metrics("f", metrics)
        exporter.start()
        metrics.record_hit()
    """)
    assert daemon.hear().counters == {tagged("pyresilience.cache.hits", function="f"): 1}


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"host": ""}, ValueError, "host must be"),
        ({"host": 7}, TypeError, "host must be"),
        ({"host": "a b"}, ValueError, "host must be"),
        ({"host": "a" * 64 + ".example"}, ValueError, "host must be"),
        ({"port": 0}, ValueError, "port must be >= 1"),
        ({"port": 65536}, ValueError, "port must be <= 65535"),
        ({"port": "8125"}, TypeError, "port must be a whole number"),
        ({"interval": 0}, ValueError, "interval must be > 0"),
        ({"interval": float("inf")}, ValueError, "interval must be finite"),
        ({"interval": 1e300}, ValueError, "interval must be <="),
        ({"interval": "soon"}, ValueError, "interval must be a duration"),
        ({"interval": None}, TypeError, "interval must be"),
        ({"max_datagram": 0}, ValueError, "max_datagram must be >= 1"),
        ({"max_datagram": 70_000}, ValueError, "max_datagram must be <= 65507"),
        ({"prefix": "a|b"}, ValueError, "prefix must be"),
        ({"prefix": "p" * 101}, ValueError, "prefix must be"),
        ({"prefix": None}, TypeError, "prefix must be text"),
        ({"tags": "env:prod"}, TypeError, "tags must be"),
        ({"tags": ["env"]}, ValueError, "a tag must be"),
        ({"tags": {"1": "x"}}, ValueError, "a tag must be"),
        ({"tags": {"a b": "x"}}, ValueError, "a tag must be"),
        ({"tags": ["env:prod"], "dogstatsd": False}, ValueError, "plain StatsD knows no tags"),
    ],
)
def test_settings_are_checked(settings, kind, words):
    """The error says which and why, at once."""
    with pytest.raises(kind, match=words):
        StatsDExporter(**settings)
