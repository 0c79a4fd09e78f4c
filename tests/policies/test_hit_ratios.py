"""What the orders reach on traces that are always the same; the whole table stands in the documentation."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hit_ratios import OPTIMUM, ORDERS, SIZES, hit_ratio, order, simulate
from benchmarks.traces import KEYS, LENGTH, TRACES, drift, loop, one_hit_wonders, recency, scan, upheaval, zipf

SMALL, LARGE = SIZES.values()
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "eviction.md"

GOALS = [
    ("Zipf 1.0", "lru", SMALL, 0.388, 0.394),
    ("Zipf 1.0", "lru", LARGE, 0.672, 0.678),
    ("Zipf 1.0", "s3fifo", SMALL, 0.50, 1),
    ("Zipf 1.0", "s3fifo", LARGE, 0.73, 1),
    ("Zipf 1.0", "sieve", SMALL, 0.50, 1),
    ("Zipf 1.0", "sieve", LARGE, 0.73, 1),
    ("Zipf 1.0", "tinylfu", SMALL, 0.50, 1),
    ("Zipf 1.0", "tinylfu", LARGE, 0.735, 1),
    ("loop", "tinylfu", SMALL, 0.47, 0.5),
    ("loop", "tinylfu", LARGE, 0.47, 0.5),
    ("recency", "tinylfu", LARGE, 0.72, 1),
    ("loop", "lru", SMALL, 0, 0),
]


@pytest.fixture(scope="module")
def stated():
    """The figures of the table in the documentation, as they stand there."""
    rows = re.findall(r"^\| (\d+ %) \| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    kinds = [name for _, name, _ in rows[: len(TRACES)]]
    names = dict(zip(kinds, TRACES, strict=True))
    return {(SIZES[share], names[kind]): cells.replace(" %", "").split(" | ") for share, kind, cells in rows}


@pytest.mark.parametrize(("trace", "name", "size", "least", "most"), GOALS)
def test_it_reaches_its_goal(stated, trace, name, size, least, most):
    """The hit ratio is as high as it has to be, that of LRU as the generator has to make it, and the page says which."""
    ratio = hit_ratio(TRACES[trace](size), name, size)
    assert least <= ratio <= most
    assert float(stated[size, trace][ORDERS.index(name)]) == pytest.approx(100 * ratio, abs=0.051)


def test_the_table_is_complete(stated):
    """Every trace at every size, with every order and the optimum, which nobody surpasses."""
    assert {*stated} == {(size, name) for size in SIZES.values() for name in TRACES}
    for cells in stated.values():
        *reached, best = map(float, cells)
        assert len(reached) == len(ORDERS)
        assert max(reached) <= best


def test_recency_is_where_lru_is_good():
    """A trace in which what was used last comes next is answered best by LRU, which is no bug of the others."""
    ratios = {name: simulate(recency()[:60_000], order(name, SMALL), SMALL) for name in ORDERS}
    assert max(ratios, key=ratios.get) == "lru"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(1, 3))
def test_the_optimum_is_the_best_of_all_ways(trace, size):
    """It is what trying everything finds: after each access any of the keys that are there may be kept."""
    best = {frozenset(): 0}
    for key in trace:
        after: dict[frozenset[int], int] = {}
        for held, hits in best.items():
            keys = held | {key}
            for kept in combinations(keys, min(size, len(keys))):
                state = frozenset(kept)
                after[state] = max(after.get(state, 0), hits + (key in held))
        best = after
    assert hit_ratio(trace, OPTIMUM, size) * len(trace) == pytest.approx(max(best.values()))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=120), st.integers(1, 8))
def test_nobody_surpasses_the_optimum(trace, size):
    """Whatever the trace."""
    best = hit_ratio(trace, OPTIMUM, size)
    assert all(hit_ratio(trace, name, size) <= best + 1e-9 for name in ORDERS)


def test_the_traces_are_what_they_are_called():
    """They are as long as stated, and have the keys that their names promise."""
    for name, make in TRACES.items():
        assert len(make(SMALL)) == LENGTH, name
    assert len({*one_hit_wonders()[::3]}) == LENGTH // 3
    assert loop(3)[:8] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert scan()[10_000:15_000] == scan()[25_000:30_000] == [*range(KEYS, KEYS + 5000)]
    assert max(drift()) < KEYS > max(recency())
    assert {*upheaval()[:30_000]} != {*zipf(1.0)[:30_000]}


def test_popularity_follows_the_law_of_zipf():
    """The second key comes half as often as the first, the tenth a tenth as often."""
    trace = zipf(1.0)
    first = trace.count(0)
    for rank in (2, 5, 10):
        assert trace.count(rank - 1) * rank == pytest.approx(first, rel=0.05)


def test_a_simulation_is_the_same_each_time():
    """No die is thrown and no clock read, so that the same accesses have the same hits."""
    trace = Random(1).choices(range(200), weights=range(200, 0, -1), k=5000)
    for name in ORDERS:
        assert simulate(trace, order(name, 20), 20) == simulate(trace, order(name, 20), 20)
