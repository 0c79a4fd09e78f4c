"""States add up, and travel as JSON; what is no state is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience.metrics import CacheMetrics, Evictions, Latencies, MetricSnapshot, PipelineMetrics, RunSnapshot
from pyresilience.metrics.latencies import BUCKETS
from pyresilience.metrics.run_metrics import STAGES
from pyresilience.metrics.snapshot import snapshot
from pyresilience.metrics.state import SERIES, STATES, Circuit, State, add_up
from pyresilience.metrics.windows import SLICES

numbers = st.integers(0, 10**6)
sums = st.integers(0, 10**6).map(float)
"""Whole, so that adding floats is exact."""

histograms = st.builds(
    lambda places, total: Latencies(tuple(places.count(place) for place in range(BUCKETS)), total),
    st.lists(st.integers(0, BUCKETS - 1), max_size=3),
    sums,
)
caches = st.builds(
    snapshot,
    hits=numbers,
    misses=numbers,
    stale_hits=numbers,
    recalculations=numbers,
    wait_timeouts=numbers,
    entry_count=numbers,
    total_size_bytes=numbers,
    size_limit_rejections=numbers,
    stale_served=numbers,
    reloading=numbers,
    reload_failures=numbers,
    max_weight=st.none() | sums,
    coalesced=numbers,
    evictions=st.builds(Evictions, numbers, numbers, numbers),
    max_entries=st.none() | numbers,
    sampling_rate=st.sampled_from([1.0, 0.5]),
    hit_latency=histograms,
    load_latency=histograms,
)
runs = st.builds(
    RunSnapshot, *[numbers] * 7, st.lists(numbers, min_size=len(STAGES), max_size=len(STAGES)).map(tuple), histograms
)
circuits = st.builds(
    Circuit,
    st.sampled_from(STATES),
    st.lists(numbers, min_size=len(STATES), max_size=len(STATES)).map(tuple),
    st.lists(st.tuples(sums, st.sampled_from(STATES)), max_size=3).map(sorted).map(tuple),
)
series = st.integers(0, 99).map(lambda count: {name: [count + place for place in range(SLICES)] for name in SERIES})
windows = st.sampled_from([60.0, 3600.0, 0.5])


def states(function="f"):
    return st.builds(
        State,
        st.just(function),
        st.none() | caches,
        st.none() | sums,
        st.none() | runs,
        st.none() | circuits,
        numbers,
        st.dictionaries(windows, st.tuples(st.none() | caches, st.none() | runs), max_size=2),
        st.dictionaries(windows, series, max_size=2),
    )


def rounded(value):
    """*value* with its floats rounded: rates of sums differ in the last bit."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, (list, tuple)) else value


def alike(one, other):
    return rounded(one.to_json()) == rounded(other.to_json())


def through_json(state):
    return State.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False)))


@settings(max_examples=40)
@given(st.text(max_size=8).flatmap(states))
def test_there_and_back(state):
    """What goes out as JSON comes back equal, whatever the function is called."""
    assert through_json(state) == state


@settings(max_examples=25)
@given(states(), states(), states())
def test_the_order_of_adding_does_not_matter(one, two, three):
    """States of one function add up to the same in any order and grouping."""
    assert alike((one + two) + three, one + (two + three))
    assert alike(one + two, two + one)


@settings(max_examples=20)
@given(st.lists(st.sampled_from("abc").flatmap(states), max_size=6))
def test_one_state_per_label(several):
    """Adding up leaves one state per label, in order, and does so once and for all."""
    added = add_up(several)
    assert [each.function for each in added] == sorted({each.function for each in several})
    assert sum(each.listener_errors for each in added) == sum(each.listener_errors for each in several)
    assert add_up(added) == added


@settings(max_examples=30)
@given(states())
def test_what_is_not_there_adds_nothing(state):
    """A state that knows nothing leaves counts, circuit and time to live as they are."""
    both = state + State("f")
    assert (both.cache, both.runs, both.circuit, both.ttl) == (state.cache, state.runs, state.circuit, state.ttl)


@settings(max_examples=30)
@given(states(), windows)
def test_within_a_window(state, window):
    """Within a window stand its own counts; of a window nobody looked at, none."""
    cache, its = state.recent.get(window, (None, None))
    assert state.within(window) == replace(state, cache=cache, runs=its)


def test_the_worse_circuit_wins():
    """Of two processes the one with the open circuit is shown; the turns are in order of time."""
    one = Circuit("closed", (1, 0, 0), ((5.0, "closed"),))
    two = Circuit("open", (0, 0, 1), ((3.0, "open"),))
    assert one + two == two + one == Circuit("open", (1, 0, 1), ((3.0, "open"), (5.0, "closed")))
    assert (one + Circuit("half_open")).state == "half_open"


GOOD = through_json(
    State(
        "shop.price",
        MetricSnapshot(hits=1, total_calls=1),
        300.0,
        RunSnapshot(1),
        Circuit("open", (0, 0, 1), ((1.0, "open"),)),
        1,
        {60.0: (MetricSnapshot(), RunSnapshot())},
        {60.0: {name: [0] * SLICES for name in SERIES}},
    )
).to_json()
INFINITE, HUGE = float("inf"), 10**400
COUNTS = [-1, "7", [], {}, None, True, 1.5, float("nan"), INFINITE, HUGE]
NUMBERS = ["7", [], {}, True, float("nan"), INFINITE, -INFINITE, HUGE]

LATER = {"stale_served", "reloading", "reload_failures", "max_weight"}
"""What the first version did not write."""

FINE = [("function", "text"), ("ttl", 5), ("listener_errors", 5)]

BROKEN = {
    **{(name,): [value for value in (5, "text", True, [1]) if (name, value) not in FINE] for name in GOOD},
    ("recent",): [None, 5, [1]],
    ("history",): [None, 5, [1]],
    ("cache", "hits"): COUNTS,
    ("cache", "evictions", "size"): COUNTS,
    ("cache", "hit_latency", "counts", 3): COUNTS,
    ("cache", "hit_latency", "counts"): [[0], None, 5],
    ("cache", "hit_latency", "total"): [*NUMBERS, None],
    ("cache", "stale_served"): COUNTS,
    ("cache", "max_weight"): NUMBERS,
    ("cache", "sampling_rate"): [*NUMBERS, None, -0.5, 1.5],
    ("runs", "retries"): COUNTS,
    ("runs", "rejections", 0): COUNTS,
    ("runs", "rejections"): [[0] * 99, None, 5],
    ("circuit", "state"): ["ajar", ["open"], None],
    ("circuit", "transitions", 0): COUNTS,
    ("circuit", "transitions"): [[1, 1], None, 5],
    ("circuit", "turns", 0): [[], [1], [1, "x"], ["x", "open"], [1, "open", 2], None, 5],
    ("recent", "60.0"): [[None], None, [5, None]],
    ("history", "60.0", "hits", 0): COUNTS,
    ("history", "60.0", "hits"): [[0], None, 5],
}


def jsonable(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: ".".join(map(str, path)))
def test_broken_values_are_refused(path):
    """A value of the wrong type or range is a ValueError that says so, and never a state."""
    for value in BROKEN[path]:
        data = jsonable(GOOD)
        *way, last = path
        place = data
        for step in way:
            place = place[step]
        place[last] = value
        try:
            state = State.from_json(data)
        except ValueError as error:
            assert "state of a function" in str(error), value
        else:
            pytest.fail(f"{str(value)[:60]} was taken for {state.function}")


def keys_of(data, *way):
    """The ways to all keys in *data*."""
    for key, value in data.items():
        yield (*way, key)
        if isinstance(value, dict):
            yield from keys_of(value, *way, key)


@pytest.mark.parametrize("path", [path for path in keys_of(jsonable(GOOD)) if path[-1] != "60.0"])
def test_a_missing_value_is_refused_or_harmless(path):
    """Without one of its values it is no state; at least what does come back adds up and is written again."""
    data = jsonable(GOOD)
    *way, last = path
    place = data
    for step in way:
        place = place[step]
    del place[last]
    try:
        state = State.from_json(data)
    except ValueError:
        return
    assert path[-2] == "evictions" or path[-1] in LATER
    assert through_json(state + State.from_json(GOOD)).cache.hits == 2


@pytest.mark.parametrize("data", [None, [], "text", 5, {}, [1], {"function": "f"}, [[]], True])
def test_what_is_no_state(data):
    """Anything else is refused, not only objects with a fault."""
    with pytest.raises(ValueError, match=r"state of a function"):
        State.from_json(data)


recursive = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(st.sampled_from(list(keys_of(jsonable(GOOD)))), recursive)
def test_anything_anywhere(path, value):
    """Whatever stands wherever: it is refused with a ValueError, or what comes back adds up and is written again."""
    data = copy.deepcopy(jsonable(GOOD))
    *way, last = path
    place = data
    for step in way:
        place = place[step]
    place[last] = value
    try:
        state = State.from_json(data)
    except ValueError:
        return
    assert len(add_up([state, State.from_json(GOOD)])) in (1, 2)
    if state.cache is not None:
        CacheMetrics().restore(state.cache)
    if state.runs is not None:
        PipelineMetrics().restore("f", state.runs)
    assert through_json(state) == state


def test_every_field_travels():
    """No field of a state is forgotten on the way."""
    assert {each.name for each in fields(State)} == set(GOOD)
