"""Which functions are measured, under what label, and that nothing counts twice."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import pytest

from pyresilience import (
    CacheConfig,
    CircuitBreakerConfig,
    EventType,
    ResilienceConfig,
    ResilienceRegistry,
    ResultCache,
    resilient,
)
from pyresilience.metrics import CacheMetrics, PipelineMetrics
from pyresilience.metrics.report import report
from pyresilience.metrics.roster import roster
from pyresilience.metrics.subject import Subject, read

MEASURED = CacheConfig(enable_metrics=True)


def plain(x, y=0):
    return x


class Shop:
    @resilient(cache=MEASURED)
    def method(self, x):
        return x

    @resilient(cache=MEASURED)
    @staticmethod
    def of_none(x):
        return x

    @classmethod
    @resilient(cache=MEASURED)
    def of_the_class(cls, x):
        return x


class Callable:
    def __call__(self, x):
        return x


def state_of(f):
    (state,) = read([Subject(f)], detailed=True)
    return state


@pytest.mark.parametrize(
    ("label", "function"),
    [
        ("plain", plain),
        ("plain", partial(plain, y=1)),
        ("plain", partial(partial(plain), y=1)),
        ("<lambda>", lambda x: x),
        ("Callable", Callable()),
        ("Callable.__call__", Callable().__call__),
    ],
)
def test_labels(label, function):
    """Whatever is decorated is told by its module and name, and its runs are found under that."""
    f = resilient(cache=MEASURED)(function)
    f(1)
    state = state_of(f)
    assert state.function == f"{__name__}.{label}"
    assert (state.runs.success, state.cache.misses) == (1, 1)
    assert f.pipeline.metrics.functions == [state.function]


def test_labels_of_builtins():
    """A builtin's module is builtins."""
    f = resilient(cache=MEASURED)(len)
    f("word")
    assert state_of(f).function == "builtins.len"
    assert state_of(f).runs.success == 1


def test_methods_in_every_form():
    """A bound method, a static and a class method are the decorated function."""
    shop = Shop()
    for bound in (shop.method, Shop.of_none, Shop.of_the_class):
        before = state_of(bound).runs.success
        bound(1)
        bound(1)
        state = state_of(bound)
        assert (state.cache.hits >= 1, state.runs.success - before) == (True, 1)
        assert state.function == f"{__name__}.{bound.__qualname__}"
    assert Subject(shop.method).function is Subject(Shop.method).function


@pytest.mark.parametrize(
    "nothing", [len, plain, resilient(plain), resilient(cache=CacheConfig())(plain), Shop, 5, None]
)
def test_what_has_no_metrics(nothing):
    """Something without metrics is refused with the setting that would bring them, builtins included."""
    with pytest.raises(ValueError, match=r"enable_metrics=True"):
        Subject(nothing).check()


def test_runs_alone_are_enough():
    """Without a cache, a listener that counts is enough; then there are no cache metrics, and no time to live."""
    f = resilient(listeners=[PipelineMetrics()])(plain)
    f(1)
    state = state_of(f)
    assert (state.cache, state.ttl, state.circuit) == (None, None, None)
    assert state.runs.success == 1


def test_all_there_is_to_know(clock):
    """Counts, time to live, circuit and the errors of listeners stand in one state, with windows and history."""

    def bad(event):
        raise RuntimeError

    f = resilient(
        cache=CacheConfig(ttl="5m", enable_metrics=True),
        circuit_breaker=CircuitBreakerConfig(),
        listeners=[bad],
        clock=clock,
    )(plain)
    f(1)
    f(1)
    raised = f.pipeline.listener_errors
    f.circuit_breaker.force_open()
    state = state_of(f)
    assert (state.cache.hits, state.runs.success, state.ttl, state.circuit.state) == (1, 1, 300.0, "open")
    assert state.circuit.transitions == (0, 0, 1)
    assert [name for _, name in state.circuit.turns] == ["open"]
    assert state.listener_errors == raised == 3
    assert set(state.recent) == set(state.history) == {60.0, 3600.0, 86400.0}
    assert state.recent[60.0] == (state.cache, state.runs)
    assert sum(state.history[3600.0]["success"]) == 1


def test_a_brief_state_has_no_windows():
    """What an exporter asks for again and again is read without windows and history."""
    f = resilient(cache=MEASURED)(plain)
    (state,) = read([Subject(f)])
    assert (state.recent, state.history) == ({}, {})


def test_one_cache_of_several_functions():
    """Metrics given to a shared cache count once, under the first label: in the whole, in windows and in history."""
    cache = ResultCache(CacheConfig(), metrics=CacheMetrics())
    f, g = resilient(cache=cache)(plain), resilient(cache=cache)(lambda x: x)
    for x in (1, 2):
        f(x)
        g(x)
    assert f.metrics is g.metrics is cache.metrics
    states = read([Subject(f), Subject(g)], detailed=True)
    assert sum(state.cache.misses for state in states if state.cache) == 4
    for window in (None, 60.0):
        shown = report(states, window)
        assert sum(each["cache"]["misses"] for each in shown["functions"] if each["cache"]) == 4
        assert sum(each["runs"]["success"] for each in shown["functions"]) == 4
    assert sum(report(states)["history"]["60"]["misses"]) == 4


def test_a_cache_of_ones_own_each():
    """With `enable_metrics`, each function of a shared cache counts its own calls, entries and bytes."""
    cache = ResultCache(CacheConfig(enable_metrics=True))
    f, g = resilient(cache=cache)(plain), resilient(cache=cache)(lambda x: "x" * 1000)
    f(1)
    f(2)
    g(1)
    cache.put("mine", 1)
    mine, its = f.metrics.get_stats(), g.metrics.get_stats()
    assert (mine.misses, mine.entry_count, its.misses, its.entry_count) == (2, 2, 1, 1)
    assert its.total_size_bytes > 1000 > mine.total_size_bytes > 0
    assert cache.metrics.get_stats().entry_count == len(cache) == 4


def test_functions_of_one_label():
    """Two functions that one pipeline decorated under one name count once each."""
    pipeline = resilient(cache=MEASURED)

    def make():
        return pipeline(lambda x: x)

    several = [make(), make(), make()]
    for f in several:
        f(1)
    (state,) = read(map(Subject, several), detailed=True)
    assert (state.cache.misses, state.runs.success) == (3, 3)
    assert state.recent[60.0][1].success == sum(state.history[60.0]["success"]) == 3


def test_functions_of_one_label_in_several_pipelines():
    """So do those that share their listener, and those whose pipelines share nothing."""
    runs = PipelineMetrics()

    def make(**settings):
        return resilient(cache=MEASURED, **settings)(lambda x: x)

    several = [make(listeners=[runs]), make(listeners=[runs]), make()]
    for f in several:
        f(1)
    (state,) = read(map(Subject, several))
    assert (state.cache.misses, state.runs.success) == (3, 3)


def test_a_function_given_twice():
    """Naming a function twice counts it once."""
    f = resilient(cache=MEASURED)(plain)
    f(1)
    (state,) = read([Subject(f), Subject(f)], detailed=True)
    assert (state.cache.misses, state.runs.success, state.recent[60.0][0].misses) == (1, 1, 1)
    assert sum(state.history[60.0]["misses"]) == 1


def test_errors_of_listeners_belong_to_a_function():
    """Functions of one pipeline show the failures of its listeners on their own events."""

    def bad(event):
        if event.event_type is EventType.SUCCESS:
            raise RuntimeError

    pipeline = resilient(cache=MEASURED, listeners=[bad])
    f, g = pipeline(plain), pipeline(lambda x: x)
    f(1)
    g(1)
    g(2)
    assert {state.function.rpartition(".")[2]: state.listener_errors for state in read([Subject(f), Subject(g)])} == {
        "plain": 1,
        "<lambda>": 2,
    }
    assert pipeline.listener_errors == 3


def test_windows_that_differ():
    """Where cache and pipeline were given other windows, each shows those that it has, and nobody is left out."""
    f = resilient(cache=MEASURED, listeners=[PipelineMetrics(window_sizes=["10s", "2h"])])(plain)
    f(1)
    state = state_of(f)
    assert state.recent[86400.0] == (state.cache, None)
    assert state.recent[10.0][1] == state.runs
    assert sum(state.history[86400.0]["misses"]) == 1
    assert sum(state.history[86400.0]["success"]) == 0


def test_one_that_cannot_be_read(caplog):
    """A broken subject is left out, logged once, and takes no other with it."""

    class Broken(Subject):
        def state(self, **how):
            raise RuntimeError("no")

    f = resilient(cache=MEASURED)(plain)
    broken = Broken(resilient(cache=MEASURED)(lambda x: x))
    broken.label = f"{__name__}.broken"
    for _ in range(3):
        assert [state.function for state in read([broken, Subject(f)])] == [f"{__name__}.plain"]
    assert len(caplog.records) == 1


# The roster.


def listed(f):
    return f in [subject.function for subject in roster.subjects()]


def test_the_roster_knows_the_measured():
    """Every decorated function with metrics is on the roster; others are not."""
    with_cache, with_runs = resilient(cache=MEASURED)(plain), resilient(listeners=[PipelineMetrics()])(plain)
    without = resilient(cache=CacheConfig())(plain)
    assert [listed(f) for f in (with_cache, with_runs, without)] == [True, True, False]
    assert listed(Shop.method)
    labels = [subject.label for subject in roster.subjects()]
    assert labels == sorted(labels)


def test_the_roster_keeps_nobody_alive():
    """A function that nobody holds any more leaves the roster, with its cache and what was in it."""

    class Value:
        pass

    f = resilient(cache=MEASURED)(lambda x: Value())
    value = weakref.ref(f(1))
    function = weakref.ref(f)
    del f
    gc.collect()
    assert (function(), value()) == (None, None)


def test_a_name_registered_again():
    """Metrics come and go with the settings of the name, and the roster follows."""
    registry = ResilienceRegistry()
    registry.register("a", ResilienceConfig(cache=CacheConfig()))
    f = registry.decorator("a")(plain)
    f(1)
    assert (f.metrics, listed(f)) == (None, False)
    registry.register("a", ResilienceConfig(cache=MEASURED))
    f(1)
    f(1)
    assert (f.metrics.get_stats().hits, state_of(f).runs.success, listed(f)) == (1, 1, True)
    registry.register("a", ResilienceConfig())
    assert (f.metrics, listed(f)) == (None, False)
    assert all(state.function for state in read(roster.subjects()))


def test_a_name_of_several_functions(colour):
    """Functions under one name have metrics of their own, and share the circuit."""
    registry = ResilienceRegistry()
    registry.register("a", ResilienceConfig(cache=MEASURED, circuit_breaker=CircuitBreakerConfig()))
    f, g = (registry.decorator("a")(colour.dye(body)) for body in (plain, lambda x: x))
    for x in (1, 1, 2):
        colour.call(f, x)
    colour.call(g, 1)
    assert (f.metrics.get_stats().total_calls, g.metrics.get_stats().total_calls) == (3, 1)
    assert f.circuit_breaker is g.circuit_breaker
    assert [state_of(each).runs.success for each in (f, g)] == [2, 1]
