"""The token bucket, against arithmetic with exact fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.bucket import TokenBucket


@given(
    capacity=st.integers(1, 5),
    rate=st.sampled_from([0, 0.25, 0.5, 1, 2, 8]),
    steps=st.lists(st.one_of(st.just("take"), st.just("fill"), st.integers(0, 40)), max_size=60),
)
def test_it_gives_what_has_been_gained(capacity, rate, steps):
    """A token is given exactly when the capped sum of gains and takings holds one."""
    bucket, tokens, now = TokenBucket(rate=rate, capacity=capacity, now=0.0), Fraction(capacity), 0.0
    for step in steps:
        if step == "take":
            assert bucket.take(now) is (tokens >= 1)
            tokens -= tokens >= 1
        elif step == "fill":
            bucket.fill(now)
            tokens = Fraction(capacity)
        else:
            now += step / 8
            tokens = min(Fraction(capacity), tokens + Fraction(step, 8) * Fraction(rate))
        assert bucket.available(now) == tokens


def test_a_clock_that_goes_back_takes_nothing_away():
    """Tokens do not vanish when a time earlier than the last is shown."""
    bucket = TokenBucket(rate=1, capacity=3, now=100.0)
    bucket.take(100.0)
    assert bucket.available(50.0) == 2
