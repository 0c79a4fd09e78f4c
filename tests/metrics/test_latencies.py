"""Latencies against sorted lists: quantiles within a bucket, sums exact, the ends of the scale."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience.metrics import Latencies
from pyresilience.metrics.latencies import BUCKETS, EDGES, bucket

durations = st.lists(st.floats(1e-7, 100.0), min_size=1, max_size=80)
anything = st.lists(st.floats(0.0, 1e12), max_size=40)
shares = st.floats(0.0, 1.0)


def histogram(values):
    counts = [0] * BUCKETS
    for value in values:
        counts[bucket(value)] += 1
    return Latencies(tuple(counts), math.fsum(values))


def reference(values, share):
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def test_the_scale():
    """Upper bounds rise from 100 ns to 100 s, each at most 1.6 times the one before."""
    assert (EDGES[0], EDGES[-1], len(EDGES)) == (1e-7, 100.0, BUCKETS - 1)
    assert all(1 < upper / lower < 1.6001 for lower, upper in zip(EDGES, EDGES[1:], strict=False))


@given(st.floats(0.0, 1e12))
def test_a_value_lies_in_its_bucket(value):
    """The bound of a bucket belongs to it, as Prometheus has it."""
    place = bucket(value)
    assert place == len(EDGES) or value <= EDGES[place]
    assert place == 0 or value > EDGES[place - 1]


@given(durations, shares)
def test_quantiles_are_within_a_bucket(values, share):
    """Every quantile lies in the bucket of the true one: off by a factor of 1.6 at most."""
    found, true = histogram(values).quantile(share), reference(values, share)
    place = bucket(true)
    assert (EDGES[place - 1] if place else 0.0) * (1 - 1e-12) <= found <= EDGES[place] * (1 + 1e-12)


@given(anything, st.lists(shares, min_size=2, max_size=6))
def test_quantiles_do_not_cross(values, some):
    """A larger share never has a smaller quantile."""
    found = [histogram(values).quantile(share) for share in sorted(some)]
    if values:
        assert all(lower <= upper * (1 + 1e-12) for lower, upper in zip(found, found[1:], strict=False))
    else:
        assert set(found) == {None}


@pytest.mark.parametrize("share", [-0.01, 1.01, 99, float("nan"), float("inf")])
@pytest.mark.parametrize("values", [[], [0.5], [1e9]])
def test_shares_that_cannot_be(values, share):
    """A share lies between 0 and 1; percent are refused, also where nothing was timed."""
    with pytest.raises(ValueError, match=r"got"):
        histogram(values).quantile(share)


@pytest.mark.parametrize(("value", "found"), [(0.0, 1e-7), (1e-12, 1e-7), (1e-7, 1e-7), (1e9, 100.0), (100.0, 100.0)])
def test_the_ends(value, found):
    """What is off the scale stands at its end among others, and as it is in sum and mean."""
    pair = histogram([value, 0.5])
    assert pair.quantile(1.0 if value > 1 else 0.5) == found
    assert (pair.count, pair.total, pair.mean) == (2, value + 0.5, (value + 0.5) / 2)


@given(st.floats(0.0, 1e12), st.integers(1, 9), shares)
def test_values_of_one_bucket_have_their_mean(value, count, share):
    """Where all lie together their mean says more than the bounds of the bucket."""
    assert histogram([value] * count).quantile(share) == pytest.approx(value)


def test_nothing():
    """Without values there is neither mean nor quantile."""
    assert (Latencies().count, Latencies().total, Latencies().mean, Latencies().quantile(0.5)) == (0, 0.0, None, None)


@given(anything, anything, anything)
def test_sums_do_not_depend_on_the_order(one, two, three):
    """Adding is associative and commutative, and is the histogram of all values."""
    a, b, c = map(histogram, (one, two, three))
    assert ((a + b) + c).counts == (a + (b + c)).counts == (c + b + a).counts == histogram(one + two + three).counts
    assert ((a + b) + c).total == pytest.approx(math.fsum(one + two + three))
    assert a + Latencies() == a


@given(anything, st.integers(1, 50))
def test_cumulative_counts(values, every):
    """Cumulative counts rise, are true at every bound, and end with all of them at infinity."""
    rows = histogram(values).cumulative(every)
    assert rows[-1] == (math.inf, len(values))
    assert all(lower[0] < upper[0] and lower[1] <= upper[1] for lower, upper in zip(rows, rows[1:], strict=False))
    for bound, count in rows:
        assert count == sum(value <= bound for value in values)


def test_they_travel_and_cannot_change():
    """Latencies are values: equal ones are equal, hash alike, are pickled, and cannot be written to."""
    one = histogram([0.1, 5.0])
    assert pickle.loads(pickle.dumps(one)) == one == histogram([0.1, 5.0])
    assert hash(one) == hash(histogram([0.1, 5.0]))
    with pytest.raises(AttributeError):
        one.total = 3.0
    assert "2" in repr(one)
