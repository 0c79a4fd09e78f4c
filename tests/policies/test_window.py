"""Windows over calls and over time, against lists."""

from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.window import BUCKETS, CountWindow, TimeWindow

CALLS = st.tuples(st.booleans(), st.booleans())


def counts(window):
    return window.calls, window.failures, window.slow


@given(size=st.integers(1, 8), calls=st.lists(CALLS, max_size=40))
def test_a_count_window_sees_the_last_calls(size, calls):
    """The counts are those of the last *size* calls, after every call."""
    window, seen = CountWindow(size), []
    for failed, slow in calls:
        window.add(0.0, failed=failed, slow=slow)
        seen = [*seen, (failed, slow)][-size:]
        assert counts(window) == (len(seen), sum(f for f, _ in seen), sum(s for _, s in seen))


@given(steps=st.lists(st.tuples(st.integers(0, 60), CALLS), max_size=60))
def test_a_time_window_sees_the_last_seconds(steps):
    """A call is in view while it is younger than the window less one bucket, and never once it is as old."""
    window, now, past = TimeWindow(float(BUCKETS)), 0.0, []
    for pause, (failed, slow) in steps:
        now += pause / 4
        window.add(now, failed=failed, slow=slow)
        past.append((now, failed, slow))
        surely = [each for each in past if now - each[0] < BUCKETS - 1]
        maybe = [each for each in past if now - each[0] < BUCKETS]
        for seen, place in zip(counts(window), (None, 1, 2), strict=True):
            least, most = (sum(1 if place is None else each[place] for each in group) for group in (surely, maybe))
            assert least <= seen <= most


@given(pauses=st.lists(st.floats(0, 3), max_size=200))
def test_a_time_window_keeps_a_fixed_number_of_buckets(pauses):
    """Memory does not grow with the number of calls."""
    window, now = TimeWindow(1.0), 0.0
    for pause in pauses:
        now += pause
        window.add(now, failed=True, slow=False)
        assert len(window._buckets) <= BUCKETS


def test_looking_lets_go():
    """Without a new call, time alone empties the window."""
    window = TimeWindow(10.0)
    window.add(0.0, failed=True, slow=True)
    window.look(10.0)
    assert counts(window) == (0, 0, 0)


def test_clearing_forgets_everything():
    """A cleared window is like a new one."""
    for window in (CountWindow(3), TimeWindow(3.0)):
        window.add(0.0, failed=True, slow=True)
        window.clear()
        window.add(0.0, failed=False, slow=True)
        assert counts(window) == (1, 0, 1)
