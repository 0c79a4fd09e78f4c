"""Durations that stand for a histogram."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience.metrics.exporters.durations import durations, thinned
from pyresilience.metrics.latencies import BUCKETS, EDGES, Latencies, bucket


def histogram(taken):
    counts = [0] * BUCKETS
    for seconds in taken:
        counts[bucket(seconds)] += 1
    return Latencies(tuple(counts), math.fsum(taken))


seconds = st.one_of(st.floats(0, 1e-5), st.floats(0, 1), st.floats(0, 1000), st.sampled_from(EDGES))


@given(st.lists(seconds, max_size=50))
def test_they_fall_into_the_same_buckets_and_add_up(taken):
    """Each stands in the bucket it stands for, for as many as there are, and all of them for the total."""
    told = histogram(taken)
    found = durations(told)
    counts = [0] * BUCKETS
    for each, count in found:
        assert math.isfinite(each)
        counts[bucket(each)] += count
    assert tuple(counts) == told.counts
    total = math.fsum(each * count for each, count in found)
    if told.counts[-1]:
        assert total >= told.total * 0.5
    else:
        assert total == pytest.approx(told.total, rel=1e-5, abs=1e-12)


def test_one_bucket_is_told_by_its_mean():
    """That is the most that is known of it."""
    [(each, count)] = durations(histogram([0.011, 0.013, 0.0152]))
    assert (each, count) == (pytest.approx(0.0392 / 3), 3)


def test_what_took_longest_keeps_the_sum():
    """The last bucket has no upper bound: its durations are as long as the sum demands."""
    found = durations(histogram([500.0, 700.0]))
    assert found == [(pytest.approx(600.0), 2)]


@pytest.mark.parametrize("total", [0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_a_total_that_cannot_be_is_borne(total):
    """Snapshots from elsewhere may say anything; the buckets hold."""
    for place in (0, 7, BUCKETS - 1):
        counts = [0] * BUCKETS
        counts[place] = 3
        [(each, count)] = durations(Latencies(tuple(counts), total))
        assert (bucket(each), count) == (place, 3) or (place == BUCKETS - 1 and each >= EDGES[-1])


def test_an_empty_histogram_has_none():
    """Nothing stands for nothing."""
    assert durations(Latencies()) == []


def test_few_are_not_thinned():
    """They are told as they are."""
    parts = [(0.1, 3), (0.2, 7)]
    assert thinned(parts, 10) == parts


def test_a_sample_has_true_proportions():
    """On average each keeps its share, also one that is rare: then it is told now and then."""
    die = random.Random(1).random
    rounds = [dict(thinned([(0.1, 9_000), (0.2, 990), (0.3, 10)], 100, die)) for _ in range(2000)]
    shares = [sum(each[seconds] for each in rounds) / 2000 for seconds in (0.1, 0.2, 0.3)]
    assert shares == pytest.approx([90, 9.9, 0.1], rel=0.2)
    assert all(abs(sum(each.values()) - 100) <= 3 for each in rounds)
