"""Snapshots of several processes become one."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience.metrics import Evictions, Latencies, MetricSnapshot
from pyresilience.metrics.latencies import BUCKETS
from pyresilience.metrics.snapshot import snapshot

numbers = st.integers(0, 10**9)
rates = st.sampled_from([1.0, 0.5, 0.25, 0.01])
histograms = st.builds(
    lambda places, total: Latencies(tuple(places.count(place) for place in range(BUCKETS)), total),
    st.lists(st.integers(0, BUCKETS - 1), max_size=9),
    st.integers(0, 10**6).map(float),
)
snapshots = st.builds(
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
    max_weight=st.none() | st.integers(0, 10**6).map(float),
    coalesced=numbers,
    evictions=st.builds(Evictions, numbers, numbers, numbers),
    max_entries=st.none() | numbers,
    sampling_rate=rates,
    hit_latency=histograms,
    load_latency=histograms,
)
SUMMED = (
    "hits", "misses", "total_calls", "stale_hits", "recalculations", "wait_timeouts", "entry_count",
    "total_size_bytes", "size_limit_rejections", "coalesced", "stale_served", "reloading", "reload_failures",
)  # fmt: skip
merge = MetricSnapshot.merge


def alike(one, other):
    for each in fields(MetricSnapshot):
        mine, its = getattr(one, each.name), getattr(other, each.name)
        assert (mine == pytest.approx(its)) if isinstance(mine, float) else (mine == its), each.name


@settings(max_examples=40)
@given(st.lists(snapshots, min_size=1, max_size=4))
def test_sums_and_rates_of_sums(several):
    """Counts, contents and histograms add up; hit rate and average are those of the sums."""
    merged = merge(*several)
    for name in SUMMED:
        assert getattr(merged, name) == sum(getattr(each, name) for each in several), name
    weights = [each.max_weight for each in several if each.max_weight is not None]
    assert merged.max_weight == (sum(weights) if weights else None)
    limits = [each.max_entries for each in several if each.max_entries is not None]
    assert merged.max_entries == (sum(limits) if limits else None)
    calls = merged.hits + merged.misses
    assert merged.hit_rate == pytest.approx(100 * merged.hits / calls if calls else 0.0)
    timed = merged.hit_latency.count + merged.load_latency.count
    total = merged.hit_latency.total + merged.load_latency.total
    assert merged.avg_latency_ms == pytest.approx(1000 * total / timed if timed else 0.0)


@settings(max_examples=40)
@given(snapshots, snapshots, snapshots)
def test_the_order_does_not_matter(one, two, three):
    """Merging is associative and commutative, sampling rates included."""
    alike(merge(merge(one, two), three), merge(one, merge(two, three)))
    alike(merge(one, two, three), merge(three, one, two))


@settings(max_examples=40)
@given(snapshots)
def test_one_is_itself(one):
    """Merging one changes nothing; so does merging it with what is empty at its rate."""
    alike(merge(one), one)
    alike(merge(one, replace(MetricSnapshot(), sampling_rate=one.sampling_rate)), one)


def test_none_is_nothing():
    """Of no processes there is the empty snapshot."""
    assert merge() == MetricSnapshot()


def test_on_an_instance_nothing_is_lost():
    """`one.merge(other)` is both, not the other alone."""
    one = snapshot(hits=1, misses=0, hit_latency=Latencies(), load_latency=Latencies())
    assert one.merge(one).hits == 2


@settings(max_examples=40)
@given(snapshots, snapshots)
def test_estimates_add_up(one, two):
    """The joint rate is such that the estimate of all calls is the sum of both estimates."""
    merged = merge(one, two)
    if one.total_calls + two.total_calls:
        assert merged.estimated_total_calls == pytest.approx(one.estimated_total_calls + two.estimated_total_calls)
    assert 0 < merged.sampling_rate <= 1


@settings(max_examples=40)
@given(snapshots)
def test_snapshots_are_pickled(one):
    """What goes to another process comes back equal."""
    assert pickle.loads(pickle.dumps(one)) == one


def test_the_fields_of_the_contract():
    """The contracted fields stand first, in their order, and the quantiles in seconds beside them."""
    names = [each.name for each in fields(MetricSnapshot)]
    assert names[:11] == [
        "hits", "misses", "hit_rate", "total_calls", "avg_latency_ms", "stale_hits", "recalculations", "wait_timeouts",
        "entry_count", "total_size_bytes", "size_limit_rejections",
    ]  # fmt: skip
    for name in ("hit_ratio", "coalesced", "sampling_rate", "estimated_hits", "hit_p50", "hit_p99", "load_p95"):
        assert hasattr(MetricSnapshot(), name)
