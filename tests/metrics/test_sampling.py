"""Sampling of decorated functions: one choice per call, and counters that never contradict each other."""

from __future__ import annotations

import random
import sys
import threading

import pytest
from crowds import waiting
from hypothesis import given, settings
from hypothesis import strategies as st
from sampled_calls import choose, is_used_up

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.metrics import CacheMetrics
from pyresilience.testing import FakeClock

FACTS = ("hits", "misses", "coalesced", "stale_hits", "recalculations")


def sampled(clock, rate=0.5, **more):
    return CacheConfig(enable_metrics=True, metrics_sampling_rate=rate, ttl=10, **more)


def facts(stats):
    return tuple(getattr(stats, name) for name in FACTS)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 0.00001, 3, 10]), st.booleans()), max_size=40))
def test_one_choice_per_call(calls):
    """Every call is chosen or not, once, whatever it meets, and all that is counted of it follows."""
    clock = FakeClock(1000.0)
    full = resilient(cache=CacheConfig(ttl=10, enable_metrics=True), clock=clock)(lambda x: x)
    half = resilient(cache=sampled(clock), clock=clock)(lambda x: x)
    choose(half.metrics, [drawn for *_, drawn in calls])
    wanted = [0] * len(FACTS)
    for x, pause, drawn in calls:
        clock.advance(pause)
        before = facts(full.metrics.get_stats())
        full(x)
        half(x)
        if drawn:
            after = facts(full.metrics.get_stats())
            wanted = [sum(each) - before[place] for place, each in enumerate(zip(wanted, after, strict=True))]
    stats = half.metrics.get_stats()
    assert list(facts(stats)) == wanted
    assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
    assert stats.entry_count == len(half.cache._cache)
    assert is_used_up(half.metrics)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 1.0])
def test_misses_and_recalculations_stay_in_proportion(colour, rate):
    """At any rate a plain function has as many misses as recalculations, and hits beside misses in their proportion."""
    state = random.getstate()
    random.seed(3)
    f = colour.decorate(lambda x: x, cache=CacheConfig(max_size=600, enable_metrics=True, metrics_sampling_rate=rate))

    async def scenario():
        for x in range(2000):
            await colour.go(f, x % 500)

    try:
        colour.run(scenario)
    finally:
        random.setstate(state)
    stats = f.metrics.get_stats()
    assert stats.misses == stats.recalculations == stats.load_latency.count
    assert stats.hits == stats.hit_latency.count
    spread = 5 * (2000 * rate * (1 - rate)) ** 0.5
    assert abs(stats.total_calls - 2000 * rate) <= spread
    assert abs(stats.misses - 500 * rate) <= spread
    if rate:
        assert stats.estimated_total_calls == stats.total_calls / rate
    assert stats.entry_count == 500


def test_rate_0_records_no_call(colour, clock, events):
    """Nothing of any call is recorded; what the cache holds is still shown, and so are the runs."""
    f = colour.decorate(lambda x: x, cache=sampled(clock, 0.0), clock=clock, listeners=[events])
    for _ in range(5):
        colour.call(f, 1)
    clock.advance(10)
    colour.call(f, 1)
    stats = f.metrics.get_stats()
    assert facts(stats) == (0, 0, 0, 0, 0)
    assert (stats.hit_latency.count, stats.load_latency.count, stats.entry_count) == (0, 0, 1)
    assert f.pipeline.metrics.get_stats(*f.pipeline.metrics.functions).success == 2


def test_coalesced_callers_are_sampled_for_themselves(colour, clock):
    """Each of those who wait for one leader is sampled on its own."""
    go, inside = colour.event(), []

    async def body(x):
        inside.append(x)
        await go.wait()
        return x

    f = colour.decorate(body, cache=sampled(clock), clock=clock)
    choose(f.metrics, [True, False] * 5)

    async def call():
        return await colour.go(f, 1)

    async def release():
        await colour.until(lambda: waiting(f) == 9)
        go.set()

    async def scenario():
        await colour.gather(*[call] * 10, release)

    colour.run(scenario)
    stats = f.metrics.get_stats()
    assert stats.total_calls == 5
    assert stats.misses == stats.recalculations in (0, 1)
    assert stats.hits == stats.coalesced


def test_rates_of_the_config():
    """The rate of the config is that of the metrics; metrics given to a cache keep their own."""
    f = resilient(cache=CacheConfig(enable_metrics=True, metrics_sampling_rate=0.25))(lambda x: x)
    assert f.metrics.sampling_rate == f.metrics.get_stats().sampling_rate == 0.25
    mine = CacheMetrics(0.5)
    config = CacheConfig(enable_metrics=True, metrics_sampling_rate=0.25)
    assert resilient(cache=ResultCache(config, metrics=mine))(lambda x: x).metrics is mine


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), float("inf")])
def test_rates_that_cannot_be(rate):
    """A wrong rate is refused when the config is made."""
    with pytest.raises(ValueError, match=r"metrics_sampling_rate"):
        CacheConfig(metrics_sampling_rate=rate)


@pytest.mark.parametrize("settings", [{"metrics_sampling_rate": "1"}, {"metrics_sampling_rate": None}])
def test_rates_of_the_wrong_type(settings):
    """A rate is a number."""
    with pytest.raises(TypeError, match=r"metrics_sampling_rate"):
        CacheConfig(**settings)


@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_the_switch_is_a_bool(value):
    """`enable_metrics` is on or off, and nothing in between."""
    with pytest.raises((TypeError, ValueError), match=r"enable_metrics"):
        CacheConfig(enable_metrics=value)


# Many threads.


class Traffic:
    """Threads that call as long as the block lasts, and how often."""

    def __init__(self, function, threads=4, spread=20, interval=1e-5):
        self._function, self._spread, self._interval = function, spread, interval
        self._stop, self.errors = threading.Event(), []
        self._calls = [0] * threads
        self._threads = [threading.Thread(target=self._work, args=(place,)) for place in range(threads)]

    def _work(self, place):
        try:
            while not self._stop.is_set():
                self._function((self._calls[place] * 7 + place) % self._spread)
                self._calls[place] += 1
        except BaseException as error:
            self.errors.append(error)

    @property
    def calls(self):
        return sum(self._calls)

    def __enter__(self):
        self._before = sys.getswitchinterval()
        sys.setswitchinterval(self._interval)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        sys.setswitchinterval(self._before)
        for thread in self._threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self._threads), "a caller hangs"
        assert self.errors == []

    def reach(self, calls):
        while self.calls < calls:
            assert not self.errors
            self._stop.wait(0.001)


@pytest.mark.parametrize("key", ["bare", "bound"])
def test_threads_lose_no_call(key):
    """Many threads that hit and miss at once: every call is counted, once, and timed, once."""
    runs = []
    function = (lambda x: runs.append(x)) if key == "bare" else (lambda x, y=None: runs.append(x))
    f = resilient(cache=CacheConfig(max_size=10, enable_metrics=True))(function)
    with Traffic(f) as traffic:
        traffic.reach(4000)
    stats = f.metrics.get_stats()
    assert stats.total_calls == traffic.calls
    assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
    assert stats.recalculations == stats.misses == len(runs) == f.cache_info().misses
    assert stats.hits == f.cache_info().hits
    assert stats.evictions.size == stats.misses - stats.entry_count


def test_reading_amid_traffic_never_contradicts():
    """What is read while others call adds up in itself, and never goes back."""
    f = resilient(cache=CacheConfig(max_size=10, enable_metrics=True))(lambda x: x)
    last = f.metrics.get_stats()
    with Traffic(f, threads=3) as traffic:
        while traffic.calls < 3000:
            stats, recent = f.metrics.get_stats(), f.metrics.get_stats(60)
            assert stats.total_calls == stats.hits + stats.misses
            assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
            assert stats.recalculations == stats.misses
            assert last.hits <= stats.hits <= recent.hits
            assert 0 <= stats.entry_count <= 11
            last = stats


def test_reset_amid_traffic():
    """A reset in the middle leaves counts that add up, and later calls are counted."""
    f = resilient(cache=CacheConfig(max_size=10, enable_metrics=True))(lambda x: x)
    with Traffic(f, threads=3) as traffic:
        for _ in range(50):
            f.metrics.reset()
            stats = f.metrics.get_stats()
            assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
            assert stats.recalculations == stats.misses
    f.metrics.reset()
    for _ in range(100):
        f(-1)
    stats = f.metrics.get_stats()
    assert (stats.hits, stats.misses, stats.hit_latency.count) == (99, 1, 99)
    assert stats.entry_count == len(f.cache._cache) <= 10
    assert traffic.calls > 0


def test_one_object_of_several_caches():
    """Calls of several functions into one given CacheMetrics from many threads add up."""
    cache = ResultCache(CacheConfig(max_size=15), metrics=CacheMetrics())
    f, g = resilient(cache=cache)(lambda x: x), resilient(cache=cache)(lambda x: -x)
    with Traffic(lambda x: (f(x), g(x), cache.get(x)), threads=3) as traffic:
        traffic.reach(800)
    stats = cache.metrics.get_stats()
    assert stats.total_calls == 3 * traffic.calls
    assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
    assert stats.entry_count == len(cache)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_lose_no_call(backend):
    """Many tasks of one loop at once: every call is counted and timed."""
    import anyio

    async def main():
        @resilient(cache=CacheConfig(max_size=10, enable_metrics=True))
        async def f(x):
            await anyio.sleep(0)
            return x

        async def work(seed):
            for number in range(60):
                await f((number * 7 + seed) % 15)

        async with anyio.create_task_group() as group:
            for seed in range(20):
                group.start_soon(work, seed)
        return f.metrics.get_stats()

    stats = anyio.run(main, backend=backend)
    assert stats.total_calls == 1200
    assert (stats.hit_latency.count, stats.load_latency.count) == (stats.hits, stats.misses)
    assert stats.coalesced > 0
    assert stats.recalculations == stats.misses
