"""CloudWatchExporter: lines that the published rules of the embedded metric format allow."""

import io
import json
import os
import time
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from exporter_contract import HOSTILE, ExporterContract, cached, call, label, until

from pyresilience import CacheConfig, CircuitBreakerConfig, RetryConfig, resilient
from pyresilience.exporters import CloudWatchExporter
from pyresilience.metrics import CacheMetrics, MetricSnapshot
from pyresilience.metrics.exporters import cloudwatch
from pyresilience.metrics.families import CATALOGUE

SCHEMA = json.loads(Path(__file__).with_name("cloudwatch_emf.schema.json").read_text())
LARGEST = 256 * 1024
"""Bytes of a log event."""


def refuse(constant):
    raise AssertionError(f"{constant} is no number of JSON")


def documents(text):
    """The documents in *text*, each on a line of its own and within the rules."""
    found = []
    for line in text.splitlines():
        assert len(line.encode()) < LARGEST
        document = json.loads(line, parse_constant=refuse)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for dimension in {name for each in directive["Dimensions"] for name in each}:
                assert isinstance(document[dimension], str)
            for definition in directive["Metrics"]:
                assert isinstance(document[definition["Name"]], (int, float))
        found.append(document)
    return found


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def make(stream):
    """Make exporters to the stream that are stopped at the end."""
    made = []

    def make(**settings):
        made.append(CloudWatchExporter(**{"stream": stream, "interval": 3600, **settings}))
        return made[-1]

    yield make
    for exporter in made:
        exporter.stop()


@pytest.fixture
def exporter(make):
    return make()


class TestContract(ExporterContract):
    """It keeps what every exporter keeps."""

    @pytest.fixture
    def exporter(self, make):
        return make()

    @pytest.fixture(autouse=True)
    def _stream(self, stream):
        self.stream = stream

    def hits(self, exporter, label):
        exporter.flush()
        told = [each for each in documents(self.stream.getvalue()) if each["function"] == label]
        return sum(each.get("pyresilience.cache.hits", 0) for each in told) if told else None


def sum_of(stream, name):
    return sum(each.get(name, 0) for each in documents(stream.getvalue()))


def test_the_schema_refuses_what_the_rules_forbid():
    """It is no schema that anything passes."""
    good = {
        "_aws": {
            "Timestamp": 1,
            "CloudWatchMetrics": [{"Namespace": "n", "Dimensions": [["function"]], "Metrics": [{"Name": "x"}]}],
        },
        "function": "f",
    }
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(good)
    for change in (
        lambda it: it.pop("_aws"),
        lambda it: it["_aws"].update(Timestamp="now"),
        lambda it: it.update(function=7),
        lambda it: it.update(function="\n"),
        lambda it: it.update(function="f" * 1025),
        lambda it: it.update({"pyresilience.x": "1"}),
        lambda it: it["_aws"]["CloudWatchMetrics"][0].update(Namespace=""),
        lambda it: it["_aws"]["CloudWatchMetrics"][0].update(Metrics=[{"Name": f"m{n}"} for n in range(101)]),
        lambda it: it["_aws"]["CloudWatchMetrics"][0].update(Dimensions=[[f"d{n}" for n in range(31)]]),
        lambda it: it["_aws"]["CloudWatchMetrics"][0]["Metrics"][0].update(Unit="Hours"),
    ):
        bad = json.loads(json.dumps(good))
        change(bad)
        assert not validator.is_valid(bad), bad


def busy():
    """A function whose every kind of metric has something to say."""

    @resilient(
        cache=CacheConfig(enable_metrics=True),
        retry=RetryConfig(max_attempts=2, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=3),
    )
    def f(x):
        if x < 0:
            raise ValueError("no")
        return x

    for x in (1, 1, 1, 2, -1, -2):
        try:
            f(x)
        except Exception:
            continue
    return f


def test_a_line_tells_what_a_function_did(exporter, stream):
    """Names, values and units are those of the catalogue; a label is the end of a name."""
    f = busy()
    exporter.register_function(f)
    before = int(time.time() * 1000)
    exporter.flush()
    [document] = documents(stream.getvalue())
    assert before <= document["_aws"]["Timestamp"] <= time.time() * 1000
    [directive] = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "pyresilience"
    assert directive["Dimensions"] == [["function"]]
    assert document["function"] == label(f)
    units = {each["Name"]: each["Unit"] for each in directive["Metrics"]}
    assert (document["pyresilience.cache.hits"], units["pyresilience.cache.hits"]) == (2, "Count")
    assert (document["pyresilience.calls.success"], units["pyresilience.calls.success"]) == (2, "Count")
    assert document["pyresilience.calls.failure"] == 1
    assert document["pyresilience.calls.rejected"] == 1
    assert (document["pyresilience.circuit.state.open"], units["pyresilience.circuit.state.open"]) == (1, "None")
    assert units["pyresilience.cache.size"] == "Bytes"
    stats = f.metrics.get_stats()
    loads = "pyresilience.cache.operation.duration.miss"
    assert document[f"{loads}.count"] == 4
    assert document[f"{loads}.sum"] == pytest.approx(stats.load_latency.total)
    assert [document[f"{loads}.{each}"] for each in ("p50", "p95", "p99")] == pytest.approx(
        [stats.load_p50, stats.load_p95, stats.load_p99]
    )
    assert units[f"{loads}.p99"] == "Seconds"
    known = {metric.dotted for metric in CATALOGUE}
    assert all(any(name == each or name.startswith(f"{each}.") for each in known) for name in units)


def test_lines_tell_differences(exporter, stream):
    """Each line has what was added since the one before; a histogram without news is left out."""
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    for hits in (3, 0, 2):
        for _ in range(hits):
            metrics.record_hit()
            metrics.record_latency(0.001)
        exporter.flush()
    told = documents(stream.getvalue())
    assert [each["pyresilience.cache.hits"] for each in told] == [3, 0, 2]
    assert [each.get("pyresilience.cache.operation.duration.hit.count") for each in told] == [3, None, 2]


def test_what_has_never_been_counted_is_left_out(exporter, stream):
    """CloudWatch charges for each name; once something was counted, also its zeros are told."""
    metrics = CacheMetrics()
    exporter.export_metrics("f", metrics)
    metrics.record_hit()
    exporter.flush()
    exporter.flush()
    first, second = documents(stream.getvalue())
    assert "pyresilience.cache.misses" not in first
    assert second["pyresilience.cache.hits"] == 0
    assert "pyresilience.cache.wait_timeouts" not in second


def test_one_line_per_function(exporter, stream):
    """However many there are."""
    for n in range(5):
        exporter.export_metrics(f"f{n}", MetricSnapshot(hits=n + 1))
    exporter.flush()
    assert Counter(each["function"] for each in documents(stream.getvalue())) == {f"f{n}": 1 for n in range(5)}


def test_a_directive_has_at_most_100_metrics(exporter, stream, monkeypatch):
    """What does not fit stands in another directive of the same line."""
    monkeypatch.setattr(cloudwatch, "METRICS", 3)
    f = busy()
    exporter.register_function(f)
    exporter.flush()
    [document] = documents(stream.getvalue())
    directives = document["_aws"]["CloudWatchMetrics"]
    sizes = [len(each["Metrics"]) for each in directives]
    assert set(sizes[:-1]) == {3}
    assert 0 < sizes[-1] <= 3
    named = [each["Name"] for directive in directives for each in directive["Metrics"]]
    assert len(set(named)) == len(named) == sum(name.startswith("pyresilience.") for name in document)


def test_the_whole_catalogue_fits_into_the_rules(exporter, stream):
    """Even if every metric had something to say, names stay short."""
    f = busy()
    exporter.register_function(f)
    exporter.flush()
    [document] = documents(stream.getvalue())
    assert max(map(len, document)) < 100


def test_dimensions_of_ones_own(make, stream):
    """They stand beside the function, in the set and on the root."""
    dimensions = {f"d{n}": f"value {n}" for n in range(29)}
    exporter = make(dimensions=dimensions, namespace="Shop/Prices")
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    [document] = documents(stream.getvalue())
    [directive] = document["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["function", *dimensions]]
    assert directive["Namespace"] == "Shop/Prices"
    assert {name: document[name] for name in dimensions} == dimensions


def test_hostile_names_break_no_rule(exporter, stream):
    """Each is one line of ASCII, told apart from the others."""
    for name in HOSTILE:
        exporter.export_metrics(name, MetricSnapshot(hits=1))
    exporter.flush()
    assert stream.getvalue().isascii()
    assert len({each["function"] for each in documents(stream.getvalue())}) == len(HOSTILE)


def test_what_is_no_number_is_left_out(exporter, stream):
    """JSON has no NaN, and CloudWatch no infinity."""
    exporter.export_metrics("f", MetricSnapshot(hits=1, total_size_bytes=float("nan"), max_entries=float("inf")))
    exporter.flush()
    [document] = documents(stream.getvalue())
    assert document["pyresilience.cache.hits"] == 1
    assert not [name for name in document if "size" in name or "max_entries" in name]


def test_sampled_counts_are_told_as_they_are(exporter, stream):
    """Nothing is scaled up."""
    metrics = CacheMetrics(sampling_rate=0.5)
    metrics.skip, metrics.draw = 0, lambda: 0  # each call is drawn
    for _ in range(4):
        metrics.record_hit()
    exporter.export_metrics("f", metrics)
    exporter.flush()
    assert sum_of(stream, "pyresilience.cache.hits") == 4


def test_standard_output_is_the_default(make, capsys):
    """Whichever it is at that moment."""
    exporter = make(stream=None)
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    [document] = documents(capsys.readouterr().out)
    assert document["function"] == "f"


def test_no_standard_output(make, monkeypatch, caplog):
    """A program without one goes on; the line says what to do."""
    monkeypatch.setattr("sys.stdout", None)
    exporter = make(stream=None)
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.flush()
    [record] = caplog.records
    assert "give a stream=" in record.getMessage()


class Full(io.StringIO):
    """A stream on a disk that is full until it is not."""

    room = False

    def write(self, text):
        if not self.room:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_stream_that_fails_loses_nothing(make, caplog):
    """What could not be written stands in later lines, and it is logged once."""
    stream, metrics = Full(), CacheMetrics()
    exporter = make(stream=stream)
    exporter.export_metrics("f", metrics)
    for _ in range(3):
        metrics.record_hit()
        exporter.flush()
    stream.room = True
    metrics.record_hit()
    exporter.flush()
    assert sum_of(stream, "pyresilience.cache.hits") == 4
    assert ["No space left" in record.getMessage() for record in caplog.records] == [True]


def test_a_closed_stream_raises_into_nobody(make, stream, caplog):
    """It is logged once, with where it came from."""
    exporter = make()
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    stream.close()
    exporter.start()
    exporter.flush()
    exporter.stop()
    [record] = caplog.records
    assert record.exc_info[0] is ValueError


def test_an_interval_passes_and_it_is_written(make, stream):
    """Nobody has to ask."""
    exporter = make(interval="20ms")
    exporter.export_metrics("f", MetricSnapshot(hits=1))
    exporter.start()
    until(lambda: sum_of(stream, "pyresilience.cache.hits") == 1, "the first line")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_tells_its_own(make, tmp_path):
    """What the parent had not written yet, the child does not write."""
    with (tmp_path / "lines").open("a") as file:
        exporter = make(stream=file)
        f = cached("forked")
        exporter.register_function(f)
        call(f, 5)
        child = os.fork()
        if child == 0:  # the child
            try:
                call(f, 2)
                exporter.flush()
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        exporter.flush()
    told = [each["pyresilience.cache.hits"] for each in documents((tmp_path / "lines").read_text())]
    assert told == [3, 5]


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"stream": "stdout"}, TypeError, "stream must be"),
        ({"namespace": ""}, ValueError, "namespace must be"),
        ({"namespace": "n" * 256}, ValueError, "namespace must be"),
        ({"namespace": ":n"}, ValueError, "namespace must be"),
        ({"namespace": "AWS/Shop"}, ValueError, "namespace must be"),
        ({"namespace": "a\nb"}, ValueError, "namespace must be"),
        ({"namespace": 1}, TypeError, "namespace must be text"),
        ({"interval": -1}, ValueError, "interval must be > 0"),
        ({"interval": "1"}, ValueError, "interval must be a duration"),
        ({"dimensions": ["a"]}, TypeError, "dimensions must be a mapping"),
        ({"dimensions": {f"d{n}": "v" for n in range(30)}}, ValueError, "at most 29"),
        ({"dimensions": {"function": "f"}}, ValueError, "taken"),
        ({"dimensions": {"_aws": "f"}}, ValueError, "taken"),
        ({"dimensions": {":a": "f"}}, ValueError, "taken"),
        ({"dimensions": {"pyresilience.calls": "f"}}, ValueError, "taken"),
        ({"dimensions": {"a": 1}}, TypeError, "in text"),
        ({"dimensions": {"a": " "}}, ValueError, "visible"),
        ({"dimensions": {"": "a"}}, ValueError, "visible"),
        ({"dimensions": {"é": "a"}}, ValueError, "visible"),
        ({"dimensions": {"a": "v" * 1025}}, ValueError, "1 to 1024"),
        ({"dimensions": {"a" * 251: "v"}}, ValueError, "1 to 250"),
    ],
)
def test_settings_are_checked(settings, kind, words):
    """The error says which and why, at once."""
    with pytest.raises(kind, match=words):
        CloudWatchExporter(**settings)
