"""Delays between attempts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.backoff import FLOOR, clamp, exponential, scatter

SECONDS = st.floats(0, 1e6)
DIE = st.floats(0, 1, exclude_max=True)


def test_it_grows_by_the_factor_up_to_the_limit():
    """The delay is multiplied from attempt to attempt and never exceeds the limit."""
    assert [exponential(n, first=0.5, factor=3, limit=10) for n in (1, 2, 3, 4, 5)] == [0.5, 1.5, 4.5, 10, 10]


@given(attempt=st.integers(1, 10**6), first=SECONDS, factor=st.floats(0, 1e300), limit=SECONDS)
def test_it_never_overflows(attempt, first, factor, limit):
    """Any attempt number gives a delay between 0 and the limit."""
    assert 0 <= exponential(attempt, first=first, factor=factor, limit=limit) <= limit


@pytest.mark.parametrize("factor", [2, 2.0, 10, 1e300])
def test_no_delay_stays_no_delay(factor):
    """A first delay of 0 stays 0, even where the factor alone overflows."""
    assert exponential(5000, first=0.0, factor=factor, limit=60) == 0


@pytest.mark.parametrize("factor", [2, 2.0, 10])
def test_a_late_attempt_waits_the_limit(factor):
    """Where the power overflows, the limit is the delay."""
    assert exponential(5000, first=1.0, factor=factor, limit=60) == 60


@given(delay=SECONDS, die=DIE)
def test_full_jitter_keeps_a_distance(delay, die):
    """Full jitter spreads between a tenth of the delay and the delay."""
    spread = scatter(delay, "full", die, first=1, limit=1e9, last=None)
    assert delay * FLOOR <= spread <= delay


@given(delay=SECONDS, die=DIE)
def test_equal_jitter_spreads_the_upper_half(delay, die):
    """Equal jitter keeps half of the delay and spreads the other half."""
    assert delay / 2 <= scatter(delay, "equal", die, first=1, limit=1e9, last=None) <= delay


@given(first=SECONDS, limit=SECONDS, last=st.none() | SECONDS, die=DIE)
def test_decorrelated_jitter_grows_from_the_last_delay(first, limit, last, die):
    """Decorrelated jitter lies between the first delay and three times the last, within the limit."""
    spread = scatter(0.0, "decorrelated", die, first=first, limit=limit, last=last)
    ceiling = max(first, 3 * (first if last is None else last))
    assert min(limit, first) <= spread <= limit
    assert spread <= ceiling or math.isclose(spread, ceiling)


@pytest.mark.parametrize("kind", ["full", "equal", "decorrelated"])
def test_jitter_spreads(kind):
    """Different dice give different delays."""
    rolls = {scatter(8.0, kind, die / 16, first=8.0, limit=99, last=None) for die in range(16)}
    assert len(rolls) > 10


def test_no_jitter_is_exact():
    """Without jitter the die does not matter."""
    assert {scatter(8.0, None, die / 16, first=1, limit=99, last=3) for die in range(16)} == {8.0}


@pytest.mark.parametrize(
    ("answer", "pause"),
    [(3, 3.0), (-1, 0.0), (99, 10.0), (math.inf, 10.0), (-math.inf, 0.0), (math.nan, None), ("3", None), (True, None)],
)
def test_a_strangers_delay_is_brought_into_bounds(answer, pause):
    """A number is clamped, and what is no number is nothing."""
    assert clamp(answer, 10.0) == pause


def test_a_huge_whole_number_is_clamped():
    """A number too large for a float is the limit, like any other that is too large."""
    assert clamp(10**400, 10.0) == 10.0
