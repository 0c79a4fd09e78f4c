"""Counting what happened."""

import pytest

from pyresilience import CacheConfig, MetricsCollector, RetryConfig
from pyresilience.events import Retrying, Succeeded


@pytest.fixture
def collector():
    return MetricsCollector()


def test_counts_per_function_and_type(colour, collector):
    """Every event is counted under its function and the value of its type."""
    answers = [OSError(), "done"]

    def flaky(x):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    f = colour.decorate(flaky, cache=CacheConfig(), retry=RetryConfig(delay=0), listeners=[collector], name="f")
    g = colour.decorate(lambda: 1, listeners=[collector], name="g")
    colour.call(f, 1)
    colour.call(f, 1)
    colour.call(g)
    assert collector.get_counts() == {
        "f": {"cache_miss": 1, "retry": 1, "success": 1, "cache_hit": 1},
        "g": {"success": 1},
    }
    assert collector.get_counts("g") == {"g": {"success": 1}}
    assert collector.get_counts("unknown") == {}


def test_latencies_are_those_of_whole_runs(colour, clock, collector):
    """One latency per run, in seconds, backoff included."""
    seconds = [1.0, 2.5]
    f = colour.decorate(lambda: clock.advance(seconds.pop(0)), clock=clock, listeners=[collector], name="f")
    colour.call(f)
    colour.call(f)
    assert collector.get_latencies() == collector.get_latencies("f") == {"f": [1.0, 2.5]}
    assert collector.get_latencies("unknown") == {}


def test_memory_is_bounded():
    """The latest latencies are kept, and no more than asked for."""
    collector = MetricsCollector(max_latencies=3)
    for second in range(10):
        collector(Succeeded(function_name="f", duration=float(second)))
    assert collector.get_latencies() == {"f": [7.0, 8.0, 9.0]}
    assert collector.get_counts() == {"f": {"success": 10}}


def test_the_summary_adds_up(colour, clock, collector):
    """Calls, share of successes, and latencies per function."""
    outcomes = [1, 2, OSError(), 4]

    def body():
        clock.advance(1)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome

    f = colour.decorate(body, clock=clock, listeners=[collector], name="f")
    for _ in range(4):
        colour.outcome(f)
    summary = collector.summary()["f"]
    assert summary["total_calls"] == 4
    assert summary["success_rate"] == 0.75
    assert summary["avg_latency"] == summary["p50_latency"] == summary["p99_latency"] == 1.0
    assert summary["events"] == {"success": 3, "failure": 1}


def test_a_function_that_never_ended_has_no_latency(collector):
    """Without a run there is nothing to average."""
    collector(Retrying(function_name="f"))
    summary = collector.summary()["f"]
    assert (summary["total_calls"], summary["success_rate"], summary["avg_latency"]) == (0, 0.0, None)


def test_reset_forgets(collector):
    """Afterwards it is as new."""
    collector(Succeeded(function_name="f", duration=1.0))
    collector.reset()
    assert (collector.get_counts(), collector.get_latencies(), collector.summary()) == ({}, {}, {})


def test_what_is_handed_out_is_a_copy(collector):
    """Changing an answer does not change the counts."""
    collector(Succeeded(function_name="f", duration=1.0))
    collector.get_counts()["f"]["success"] = 99
    collector.get_latencies()["f"].append(99)
    assert (collector.get_counts(), collector.get_latencies()) == ({"f": {"success": 1}}, {"f": [1.0]})


@pytest.mark.parametrize("bad", [0, -1])
def test_it_keeps_at_least_one(bad):
    """A bound below 1 is refused."""
    with pytest.raises(ValueError, match="max_latencies"):
        MetricsCollector(max_latencies=bad)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "10"])
def test_the_bound_of_latencies_is_checked(bad):
    """How many latencies are kept must be a whole number above 0."""
    with pytest.raises(ValueError, match="max_latencies"):
        MetricsCollector(max_latencies=bad)
