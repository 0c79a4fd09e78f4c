"""CacheMetrics by themselves: what is recorded by hand, how it is sampled, and what they refuse."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampled_calls import choose, is_used_up

from pyresilience.metrics import CacheMetrics, MetricSnapshot
from pyresilience.testing import FakeClock

RECORDS = {
    "record_hit": "hits",
    "record_miss": "misses",
    "record_stale_hit": "stale_hits",
    "record_stale_served": "stale_served",
    "record_recalculation": "recalculations",
    "record_wait_timeout": "wait_timeouts",
    "record_size_limit_rejection": "size_limit_rejections",
}


@pytest.fixture
def metrics(clock):
    return CacheMetrics(clock=clock)


@pytest.mark.parametrize("rate", [-0.1, 1.1, 2, float("nan"), float("inf"), -float("inf")])
def test_rates_out_of_range(rate):
    """A share of calls lies between 0 and 1; the message says which argument and what came."""
    with pytest.raises(ValueError, match=r"sampling_rate must be between 0 and 1, got"):
        CacheMetrics(sampling_rate=rate)


@pytest.mark.parametrize("rate", ["0.5", None, True, Fraction(1, 2), [1]])
def test_rates_of_the_wrong_type(rate):
    """What is no number is a TypeError."""
    with pytest.raises(TypeError, match=r"sampling_rate"):
        CacheMetrics(sampling_rate=rate)


@pytest.mark.parametrize("rate", [0, 1, 0.0, 1.0, 0.25])
def test_rates_that_are_right(rate):
    """Both ends belong to it, as whole numbers too; the snapshot tells the rate."""
    assert CacheMetrics(rate).get_stats().sampling_rate == rate


@pytest.mark.parametrize("sizes", [[0], [-1], [float("nan")], [float("inf")], ["5x"], [timedelta(0)], [60, -60]])
def test_windows_that_cannot_be(sizes):
    """A window is finite and above 0."""
    with pytest.raises(ValueError, match=r"got"):
        CacheMetrics(window_sizes=sizes)


@pytest.mark.parametrize("sizes", [60, "1m", {60}, [None], [True], [[60]]])
def test_windows_of_the_wrong_type(sizes):
    """The windows are a sequence of durations, not one duration."""
    with pytest.raises(TypeError, match=r"got"):
        CacheMetrics(window_sizes=sizes)


def test_windows_as_durations():
    """Numbers, texts and timedeltas will do, in any order, also twice; without any, a minute, an hour and a day."""
    assert CacheMetrics().window_sizes == (60.0, 3600.0, 86400.0)
    assert CacheMetrics(window_sizes=["1h", timedelta(minutes=1), 5, 60.0]).window_sizes == (5.0, 60.0, 3600.0)


def test_nothing_recorded(metrics):
    """A fresh object says 0 of everything, divides by nothing, and knows no quantile."""
    stats = metrics.get_stats()
    assert stats == MetricSnapshot()
    assert (stats.hit_rate, stats.hit_ratio, stats.avg_latency_ms) == (0.0, 0.0, 0.0)
    assert [stats.hit_p50, stats.hit_p95, stats.hit_p99, stats.load_p50, stats.load_p95, stats.load_p99] == [None] * 6


@pytest.mark.parametrize(("method", "field"), RECORDS.items())
def test_each_record_counts_one_thing(metrics, method, field):
    """Every method adds 1 to its own count and to no other."""
    for _ in range(3):
        getattr(metrics, method)()
    stats = metrics.get_stats()
    assert {name: getattr(stats, name) for name in RECORDS.values() if getattr(stats, name)} == {field: 3}


def test_rates_of_hits(metrics):
    """The hit rate is in percent, the ratio in 0..1, and the calls are hits and misses."""
    for method in ("record_hit", "record_hit", "record_hit", "record_miss"):
        getattr(metrics, method)()
    stats = metrics.get_stats()
    assert (stats.hit_rate, stats.hit_ratio, stats.total_calls) == (75.0, 0.75, 4)


def test_average_and_quantiles_of_what_was_recorded(metrics):
    """Durations go where their call went; the average is over both, in milliseconds, the quantiles in seconds."""
    for _ in range(3):
        metrics.record_hit()
        metrics.record_latency(0.001)
    metrics.record_miss()
    metrics.record_latency(0.097)
    stats = metrics.get_stats()
    assert (stats.hit_latency.count, stats.load_latency.count) == (3, 1)
    assert stats.avg_latency_ms == pytest.approx(25.0)
    assert 0.00063 <= stats.hit_p50 <= stats.hit_p95 <= stats.hit_p99 <= 0.001
    assert 0.063 <= stats.load_p50 <= stats.load_p99 <= 0.1


@pytest.mark.parametrize("seconds", [-1e-9, float("nan"), float("inf"), -float("inf")])
def test_durations_that_cannot_be(metrics, seconds):
    """A duration is finite and not negative, and a refused one leaves nothing behind."""
    with pytest.raises(ValueError, match=r"got"):
        metrics.record_latency(seconds)
    assert metrics.get_stats() == MetricSnapshot()


@pytest.mark.parametrize("seconds", [0, 0.0, 1e-12, 1e9, 5])
def test_durations_at_the_ends(metrics, seconds):
    """Durations too short or too long for the buckets are counted all the same."""
    metrics.record_miss()
    metrics.record_latency(seconds)
    stats = metrics.get_stats()
    assert stats.load_latency.count == 1
    assert stats.avg_latency_ms == pytest.approx(seconds * 1000)


@pytest.mark.parametrize(("entries", "size"), [(-1, 0), (0, -1)])
def test_sizes_that_cannot_be(metrics, entries, size):
    """A cache holds no less than nothing."""
    with pytest.raises(ValueError, match=r"entries and bytes"):
        metrics.update_size_metrics(entries, size)


def test_sizes_by_hand(metrics, clock):
    """The last ones told are shown, in every window and after a reset."""
    metrics.update_size_metrics(10, 1000)
    metrics.update_size_metrics(7, 700)
    clock.advance(3000)
    metrics.reset()
    for stats in (metrics.get_stats(), metrics.get_stats(timedelta(minutes=1))):
        assert (stats.entry_count, stats.total_size_bytes, stats.max_entries) == (7, 700, None)


def test_reset_forgets_the_rest(metrics):
    """After `reset()` all counts and durations are 0, in every window, and counting goes on."""
    metrics.record_hit()
    metrics.record_latency(1.0)
    metrics.reset()
    assert metrics.get_stats() == metrics.get_stats(60) == MetricSnapshot()
    metrics.record_miss()
    assert (metrics.get_stats().misses, metrics.get_stats("1m").misses) == (1, 1)


@pytest.mark.parametrize("window", [0, -1, float("nan"), timedelta(0), timedelta(seconds=-1), "0s", 86401, "25h", "x"])
def test_windows_that_were_not_kept(metrics, window):
    """A window is above 0, and not longer than the longest that is kept."""
    with pytest.raises(ValueError, match=r"."):
        metrics.get_stats(window)


@pytest.mark.parametrize("window", [True, [60], b"1m", object()])
def test_asking_for_a_window_of_the_wrong_type(metrics, window):
    """What is no duration is a TypeError."""
    with pytest.raises(TypeError, match=r"got"):
        metrics.get_stats(window)


def test_without_windows():
    """With no windows there is only the whole, and the message says so."""
    metrics = CacheMetrics(window_sizes=[])
    metrics.record_hit()
    assert metrics.get_stats().hits == 1
    with pytest.raises(ValueError, match=r"window_sizes"):
        metrics.get_stats(1)


def test_a_snapshot_stands_still(metrics):
    """What was read does not change with what comes after, and cannot be changed."""
    metrics.record_hit()
    before = metrics.get_stats()
    metrics.record_hit()
    assert before.hits == 1
    with pytest.raises(AttributeError):
        before.hits = 5


def test_restored_counts_are_added_outside_of_the_windows(metrics, clock):
    """What an earlier process counted is in the whole, twice if restored twice; the windows do not see it."""
    earlier = CacheMetrics(clock=clock)
    for method in RECORDS:
        getattr(earlier, method)()
    earlier.record_latency(0.25)
    metrics.record_hit()
    for _ in range(2):
        metrics.restore(earlier.get_stats())
    assert metrics.get_stats() == MetricSnapshot.merge(earlier.get_stats(), earlier.get_stats(), metrics.get_stats(60))
    assert metrics.get_stats(60).total_calls == 1
    metrics.reset()
    assert metrics.get_stats() == MetricSnapshot()


# Sampling.


def test_rate_0_records_nothing(clock):
    """Nothing at all is counted, by hand or by calls, and nothing divides by the rate."""
    metrics = CacheMetrics(0.0, clock=clock)
    for method in RECORDS:
        getattr(metrics, method)()
    metrics.record_latency(1.0)
    stats = metrics.get_stats()
    assert stats == MetricSnapshot(sampling_rate=0.0)
    assert stats.estimated_hits == stats.estimated_total_calls == 0.0


def test_what_is_no_call_is_not_sampled(clock):
    """Background reloads that failed are counted at any rate, as evictions are."""
    metrics = CacheMetrics(0.0, clock=clock)
    metrics.record_reload_failure()
    assert metrics.get_stats() == metrics.get_stats(60) == MetricSnapshot(sampling_rate=0.0, reload_failures=1)


CALLS = {
    "hit": ("record_hit", "record_latency"),
    "miss": ("record_miss", "record_recalculation", "record_latency"),
    "stale": ("record_stale_hit", "record_miss", "record_recalculation", "record_latency"),
    "miss last": ("record_recalculation", "record_miss", "record_latency"),
    "timed out": ("record_wait_timeout", "record_miss", "record_recalculation", "record_latency"),
    "too large": ("record_miss", "record_recalculation", "record_size_limit_rejection", "record_latency"),
}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(sorted(CALLS)), st.booleans()), max_size=30))
def test_one_choice_per_call_by_hand(calls):
    """Whatever the calls met, in whatever order it is said, each is recorded as a whole or not at all."""
    metrics = choose(CacheMetrics(0.5, clock=FakeClock()), [drawn for _, drawn in calls])
    wanted = dict.fromkeys(RECORDS.values(), 0)
    timed = 0
    for kind, drawn in calls:
        for method in CALLS[kind]:
            getattr(metrics, method)(*([0.5] if method == "record_latency" else []))
            if method != "record_latency":
                wanted[RECORDS[method]] += drawn
        timed += drawn
    stats = metrics.get_stats()
    assert {name: getattr(stats, name) for name in wanted} == wanted
    assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
    assert stats.total_calls == timed
    assert is_used_up(metrics)


@pytest.mark.parametrize("untimed", [("record_hit",), ("record_miss", "record_recalculation")])
def test_one_choice_per_call_that_is_not_timed(untimed):
    """Calls of which no duration is said are told apart by their hits and misses."""
    metrics = choose(CacheMetrics(0.5), [True, False] * 50)
    for _ in range(100):
        for method in untimed:
            getattr(metrics, method)()
    stats = metrics.get_stats()
    assert stats.total_calls == 50
    assert stats.misses == stats.recalculations


def test_threads_are_sampled_for_themselves():
    """Calls that are recorded in two threads at once are two calls, however their records interleave."""
    metrics = choose(CacheMetrics(0.5), [True, False])
    turns = [threading.Event() for _ in range(5)]

    def record(first, second):
        turns[first].wait(20)
        metrics.record_miss()
        turns[first + 1].set()
        turns[second].wait(20)
        metrics.record_recalculation()
        turns[second + 1].set()

    threads = [threading.Thread(target=record, args=places) for places in ((0, 2), (1, 3))]
    for thread in threads:
        thread.start()
    turns[0].set()
    for thread in threads:
        thread.join(20)
    stats = metrics.get_stats()
    assert (stats.misses, stats.recalculations) == (1, 1)


def test_tasks_are_sampled_for_themselves():
    """Calls that are recorded in tasks at once are calls of their own."""
    metrics = choose(CacheMetrics(0.5), [True, False] * 10)

    async def record():
        metrics.record_miss()
        await asyncio.sleep(0)
        metrics.record_recalculation()
        await asyncio.sleep(0)
        metrics.record_latency(0.5)

    async def main():
        await asyncio.gather(*[record() for _ in range(20)])

    asyncio.run(main())
    stats = metrics.get_stats()
    assert (stats.misses, stats.recalculations, stats.load_latency.count) == (10, 10, 10)


def test_two_objects_recorded_in_turn():
    """Two levels of a cache, recorded alternately, each choose once per call."""
    first, second = (choose(CacheMetrics(0.5), [True, False] * 10) for _ in range(2))
    for _ in range(20):
        for method in ("record_miss", "record_recalculation"):
            getattr(first, method)()
            getattr(second, method)()
        first.record_latency(0.1)
        second.record_latency(0.1)
    for stats in (first.get_stats(), second.get_stats()):
        assert (stats.misses, stats.recalculations, stats.load_latency.count) == (10, 10, 10)


def test_estimates_divide_by_the_rate():
    """Raw counts are what was recorded; what they stand for is them over the rate."""
    stats = MetricSnapshot(hits=3, misses=2, total_calls=5, stale_hits=1, recalculations=2, wait_timeouts=1,
                           size_limit_rejections=4, coalesced=1, sampling_rate=0.25)  # fmt: skip
    assert (stats.estimated_hits, stats.estimated_misses, stats.estimated_total_calls) == (12, 8, 20)
    assert (stats.estimated_stale_hits, stats.estimated_recalculations, stats.estimated_wait_timeouts) == (4, 8, 4)
    assert (stats.estimated_size_limit_rejections, stats.estimated_coalesced) == (16, 4)


# Threads.


def test_threads_by_hand_lose_nothing():
    """What many threads record by hand adds up exactly."""
    metrics, rounds = CacheMetrics(), 400

    def record():
        for number in range(rounds):
            metrics.record_hit() if number % 4 else metrics.record_miss()
            metrics.record_latency(1e-5)

    threads = [threading.Thread(target=record) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    stats = metrics.get_stats()
    assert (stats.hits, stats.misses) == (6 * 300, 6 * 100)
    assert (stats.hit_latency.count, stats.load_latency.count) == (6 * 300, 6 * 100)
    assert stats.avg_latency_ms == pytest.approx(0.01)


@pytest.mark.parametrize("rate", [0.001, 0.03, 0.3, 0.5, 0.9, 0.999])
def test_chance_keeps_the_rate(rate):
    """About that share of the calls is recorded, each with the same chance whatever became of those before."""
    state = random.getstate()
    random.seed(20261121)
    try:
        metrics, calls = CacheMetrics(rate), 6000
        drawn = [metrics.begin_call().drawn for _ in range(calls)]
    finally:
        random.setstate(state)
    spread = 4.5 * (calls * rate * (1 - rate)) ** 0.5 + 1
    assert abs(sum(drawn) - calls * rate) <= spread
    after = [later for earlier, later in itertools.pairwise(drawn) if earlier]
    spread = 4.5 * (len(after) * rate * (1 - rate)) ** 0.5 + 1
    assert abs(sum(after) - len(after) * rate) <= spread


@pytest.mark.parametrize("rate", [5e-324, 1e-300, 1e-17, 1 - 2**-53])
def test_rates_next_to_the_ends(rate):
    """A rate as near to 0 or 1 as can be is a rate: the metrics are made, and count as good as none, or all."""
    metrics = CacheMetrics(rate)
    for _ in range(50):
        metrics.record_hit()
    assert metrics.get_stats().hits == (50 if rate > 0.5 else 0)


def test_recording_needs_no_order_between_calls():
    """Every order of three calls comes to the same counts."""
    results = set()
    for calls in itertools.permutations(["hit", "stale", "too large"]):
        metrics = CacheMetrics(clock=FakeClock())
        for method in itertools.chain.from_iterable(CALLS[kind] for kind in calls):
            getattr(metrics, method)(*([0.5] if method == "record_latency" else []))
        results.add(metrics.get_stats())
    assert len(results) == 1
