"""Windows against a plain list of timestamps: never older than asked for, and how exact."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience import CacheConfig, EventType, ResultCache, resilient
from pyresilience.events import Failed, Retrying, Succeeded
from pyresilience.metrics import CacheMetrics, PipelineMetrics
from pyresilience.testing import FakeClock

START = 1024.0
WINDOWS = (16.0, 64.0, 1024.0)
"""Powers of two, so that all sums of times are exact."""

FIELDS = {
    "record_hit": "hits",
    "record_miss": "misses",
    "record_stale_hit": "stale_hits",
    "record_recalculation": "recalculations",
    "record_wait_timeout": "wait_timeouts",
    "record_size_limit_rejection": "size_limit_rejections",
}

steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0, 4.0, 9.0, 40.0, 63.75, 1000.0]), st.sampled_from([*FIELDS])),
    min_size=1,
    max_size=60,
)


class Watched:
    """Metrics, and a list of what was recorded when."""

    def __init__(self, windows=WINDOWS):
        self.clock = FakeClock(START)
        self.metrics = CacheMetrics(window_sizes=windows, clock=self.clock)
        self.seen = []

    def record(self, method):
        self.metrics.begin_call()
        getattr(self.metrics, method)()
        self.seen.append((self.clock.monotonic(), FIELDS[method]))

    def count(self, field, length):
        """How many there are, younger than *length*."""
        return sum(self.clock.monotonic() - when < length for when, name in self.seen if name == field)


@settings(max_examples=150)
@given(steps, st.lists(st.integers(0, 60), max_size=4), st.sampled_from([0.0, 0.5, 5.0, 70.0, 2000.0]))
def test_no_window_lies(steps, readings, pause):
    """A window shows nothing older than itself, and misses at most its sixteenth at the far end, in every field."""
    watched = Watched()
    for place, (gap, method) in enumerate(steps):
        watched.clock.advance(gap)
        watched.record(method)
        if place in readings:
            watched.metrics.get_stats("16s")
    watched.clock.advance(pause)
    for window in WINDOWS:
        stats = watched.metrics.get_stats(timedelta(seconds=window))
        for field in FIELDS.values():
            shown = getattr(stats, field)
            assert watched.count(field, window - window / 16) <= shown <= watched.count(field, window), (window, field)
    whole = watched.metrics.get_stats()
    assert [getattr(whole, field) for field in FIELDS.values()] == [
        sum(name == field for _, name in watched.seen) for field in FIELDS.values()
    ]


@settings(max_examples=80)
@given(
    st.sampled_from(WINDOWS),
    st.lists(st.tuples(st.integers(4, 200), st.integers(1, 30)), min_size=1, max_size=30),
    st.integers(0, 300),
)
def test_bursts_with_pauses_are_exact(window, bursts, pause):
    """What comes in bursts that are farther apart than a sixteenth of the window is counted exactly."""
    watched = Watched([window])
    for gap, size in bursts:
        watched.clock.advance(gap * window / 64)
        for _ in range(size):
            watched.record("record_hit")
    watched.clock.advance(pause * window / 64)
    assert watched.metrics.get_stats(window).hits == watched.count("hits", window)


@settings(max_examples=80)
@given(steps, st.sampled_from([0.5, 1.0, 3.0, 15.0, 17.0, 33.0, 63.0, 65.0, 500.0, 1023.0]))
def test_a_window_between_those_kept_shows_nothing_older(steps, window):
    """Any shorter window will do: exact to a sixteenth of the next longer one that is kept."""
    watched = Watched()
    for gap, method in steps:
        watched.clock.advance(gap)
        watched.record(method)
    slack = min(kept for kept in WINDOWS if kept >= window) / 16
    stats = watched.metrics.get_stats(window)
    for field in FIELDS.values():
        assert watched.count(field, window - slack) <= getattr(stats, field) <= watched.count(field, window)


@settings(max_examples=60)
@given(steps, st.sampled_from(WINDOWS), st.sampled_from([0.0, 1.0, 10.0]))
def test_history_is_near_to_what_was(steps, window, pause):
    """The latest so many slices hold what came then, give or take one slice; none is negative."""
    watched = Watched()
    for gap, method in steps:
        watched.clock.advance(gap)
        watched.record(method)
    watched.clock.advance(pause)
    history, step = watched.metrics.history(window), window / 16
    assert {"hits", "misses", "coalesced", "stale_hits", "wait_timeouts"} <= history.keys()
    for name in ("hits", "misses", "stale_hits", "wait_timeouts"):
        counts = history[name]
        assert len(counts) == 16
        assert min(counts) >= 0
        for latest in range(1, 17):
            least, most = watched.count(name, step * (latest - 1)), watched.count(name, step * (latest + 1))
            assert least <= sum(counts[-latest:]) <= most, (name, latest)


def test_history_tells_when():
    """The last slice is the newest; what came in one moment stands in one slice."""
    watched = Watched()
    for number in range(16):
        for _ in range(number + 1):
            watched.record("record_hit")
        watched.clock.advance(4.0)
    assert watched.metrics.history(64.0)["hits"] == [*range(1, 17)]


def test_durations_have_windows():
    """Durations, average and quantiles are those of the window."""
    watched = Watched()
    for seconds, gap in ((4.0, 32.0), (0.5, 0.0)):
        watched.record("record_hit")
        watched.metrics.record_latency(seconds)
        watched.clock.advance(gap)
    window, whole = watched.metrics.get_stats(16), watched.metrics.get_stats()
    assert (window.avg_latency_ms, whole.avg_latency_ms) == (500.0, 2250.0)
    assert (window.hit_latency.total, whole.hit_latency.total) == (0.5, 4.5)
    assert window.hit_p99 < 1 < whole.hit_p99


def decorated(clock, windows=WINDOWS, **more):
    cache = ResultCache(
        CacheConfig(max_size=2, ttl=100), clock=clock, metrics=CacheMetrics(window_sizes=windows, clock=clock)
    )
    return resilient(cache=cache, clock=clock, **more)(lambda x: x)


def test_calls_have_windows(colour, clock):
    """Hits and misses of a decorated function leave the windows as they age, and stay in the whole."""
    f = decorated(clock)
    for _ in range(3):
        f(1)
    clock.advance(15.5)
    f(1)
    clock.advance(0.5)
    near, far = f.metrics.get_stats(16), f.metrics.get_stats(64)
    assert (near.hits, near.misses, near.recalculations) == (1, 0, 0)
    assert (near.hit_latency.count, near.load_latency.count) == (1, 0)
    assert (far.hits, far.misses, far.recalculations) == (3, 1, 1)
    clock.advance(1024)
    assert f.metrics.get_stats(1024).total_calls == 0
    assert f.metrics.get_stats().total_calls == 4


def test_hits_that_share_a_timing_do_not_come_late():
    """Hits that nobody has timed yet are not taken for newer than they are."""
    clock = FakeClock(START)
    f = decorated(clock)
    for _ in range(10):
        f(1)
    clock.advance(16)
    assert f.metrics.get_stats(16).total_calls == 0
    assert f.metrics.get_stats(64).total_calls == 10


@pytest.mark.parametrize("rate", [1.0, 1e-9])
@pytest.mark.parametrize(
    ("cause", "leave"),
    [
        ("invalidated", lambda f: f.cache.invalidate(2)),
        ("invalidated", lambda f: f.cache.clear()),
        ("size", lambda f: f(3)),
    ],
    ids=["invalidate", "clear", "size"],
)
def test_evictions_have_windows(cause, leave, rate):
    """An entry that left long ago has not left in the last minute, whenever that is noticed and whatever is sampled."""
    clock = FakeClock(START)
    metrics = CacheMetrics(rate, window_sizes=WINDOWS, clock=clock)
    f = resilient(cache=ResultCache(CacheConfig(max_size=2), clock=clock, metrics=metrics), clock=clock)(lambda x: x)
    f(1), f(2)
    leave(f)
    now = getattr(f.metrics.get_stats(16).evictions, cause)
    clock.advance(20)
    assert getattr(f.metrics.get_stats(16).evictions, cause) == 0
    assert getattr(f.metrics.get_stats(64).evictions, cause) == getattr(f.metrics.get_stats().evictions, cause) == now
    assert now >= 1


@pytest.mark.parametrize(
    "leave", [lambda cache: cache.invalidate("a"), lambda cache: cache.clear(), lambda cache: cache.put("c", 1)]
)
def test_evictions_that_are_noticed_late(leave):
    """Nobody looks for an hour: then what left an hour ago is not news."""
    clock = FakeClock(START)
    metrics = CacheMetrics(window_sizes=WINDOWS, clock=clock)
    cache = ResultCache(CacheConfig(max_size=2, ttl=0), clock=clock, metrics=metrics)
    cache.put("a", 1)
    cache.put("b", 1)
    clock.advance(100)
    leave(cache)
    clock.advance(2000)
    recent, whole = cache.metrics.get_stats(64).evictions, cache.metrics.get_stats().evictions
    assert recent.size + recent.expired + recent.invalidated == 0
    assert whole.size + whole.invalidated >= 1


def test_runs_have_windows(clock):
    """Outcomes, retries and durations of a pipeline's runs leave the windows as they age."""
    runs = PipelineMetrics(window_sizes=["16s", "64s"], clock=clock)
    for gap in (0, 20):
        clock.advance(gap)
        runs(Succeeded(function_name="f", duration=0.5))
        runs(Failed(function_name="f", duration=0.25, error=OSError()))
        runs(Retrying(function_name="f"))
    near, far = runs.get_stats("f", "16s"), runs.get_stats("f", 64)
    assert (near.success, near.failure, near.retries, near.latency.count) == (1, 1, 1, 2)
    assert (far.success, far.failure, far.retries, far.latency.total) == (2, 2, 2, 1.5)
    clock.advance(64)
    assert runs.get_stats("f", 64) == type(near)()
    assert runs.get_stats("f").success == 2
    assert EventType.SUCCESS in runs.wants


@pytest.mark.parametrize("window", [0, -1, float("nan"), 65, "2m"])
def test_windows_of_runs_that_were_not_kept(clock, window):
    """Pipelines refuse the same windows as caches."""
    runs = PipelineMetrics(window_sizes=[64], clock=clock)
    with pytest.raises(ValueError, match=r"window"):
        runs.get_stats("f", window)


def test_traffic_without_a_pause():
    """Under steady traffic a window never shows more than it may, nor less than fifteen sixteenths of it."""
    watched = Watched([16.0])
    for second in range(300):
        watched.record("record_hit")
        watched.clock.advance(0.25)
        if second > 70:
            assert 60 <= watched.metrics.get_stats(16).hits <= 64
