"""The admissions of a rate limiter, against a model that counts every window."""

from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.ring import AdmissionRing, Reservation

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 12)),
        st.tuples(st.just("wait"), st.integers(0, 4)),
        st.tuples(st.just("return"), st.integers(0, 30)),
    ),
    max_size=60,
)


def reserve(ring, now, patience=float("inf")):
    """The reservation made, or None."""
    reservation = Reservation()
    return reservation if ring.reserve(reservation, now, patience) else None


def fits(times, at, calls, period):
    """Whether an admission at *at* leaves every window of one period with at most *calls*."""
    every = sorted([*times, at])
    return all(sum(start <= each < start + period for each in every) <= calls for start in every)


def earliest(times, now, calls, period):
    """The first moment, in line, at which one more admission fits."""
    first = max([now, *times])
    moments = sorted({first, *(each + period for each in times if each + period > first)})
    return next(at for at in moments if fits(times, at, calls, period))


@given(calls=st.integers(1, 4), period=st.integers(1, 6), steps=STEPS)
def test_it_admits_as_early_as_the_windows_allow_and_no_earlier(calls, period, steps):
    """Every answer of the ring is the brute-force answer, so no window of one period holds too many."""
    ring, made, now = AdmissionRing(calls=calls, period=period), [], 0
    for step, number in steps:
        if step == "wait":
            now += number
        elif step == "return":
            pending = [each for each in made if each.at >= now]
            if pending:
                gone = pending[number % len(pending)]
                ring.give_back(gone)
                made.remove(gone)
        else:
            times = [each.at for each in made]
            want = earliest(times, now, calls, period)
            reservation = reserve(ring, now, number)
            assert (reservation is not None) is (want - now <= number)
            if reservation is not None:
                assert reservation.at == want
                assert fits(times, want, calls, period)
                made.append(reservation)


@given(calls=st.integers(1, 5), arrivals=st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_reservations_are_in_the_order_of_arrival(calls, arrivals):
    """Who comes later is never admitted earlier."""
    ring, now, times = AdmissionRing(calls=calls, period=3), 0, []
    for pause in arrivals:
        now += pause
        times.append(reserve(ring, now).at)
    assert times == sorted(times)


@given(
    calls=st.integers(1, 4),
    period=st.floats(0.001, 10),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=40),
)
def test_the_limit_holds_for_any_times(calls, period, pauses):
    """An admission follows the one *calls* before it by one period, to the last bit of the arithmetic."""
    ring, now, times = AdmissionRing(calls=calls, period=period), 12345.678, []
    for pause in pauses:
        now += pause
        times.append(reserve(ring, now).at)
    assert all(later >= earlier + period for earlier, later in zip(times, times[calls:], strict=False))


def test_giving_back_twice_gives_back_once():
    """A reservation that is not there any more cannot be returned again."""
    ring = AdmissionRing(calls=2, period=10)
    first = reserve(ring, 0)
    reserve(ring, 1)
    ring.give_back(first)
    ring.give_back(first)
    assert ring.free(1) == 1


def test_free_counts_what_is_admitted_at_once():
    """`free` says how many calls need not wait now."""
    ring = AdmissionRing(calls=3, period=10)
    seen = [ring.free(0)]
    for _ in range(3):
        reserve(ring, 0)
        seen.append(ring.free(0))
    assert (seen, ring.free(9.99), ring.free(10)) == ([3, 2, 1, 0], 0, 3)


def test_a_refusal_reserves_nothing():
    """Asking in vain does not make the next one wait longer."""
    ring = AdmissionRing(calls=1, period=10)
    reserve(ring, 0)
    assert [reserve(ring, 5, patience=1) for _ in range(5)] == [None] * 5
    assert ring.earliest(5) == 10


def test_it_forgets_what_no_window_sees():
    """However many calls there were, the ring keeps no more than a period holds."""
    ring = AdmissionRing(calls=3, period=1)
    for second in range(1000):
        reserve(ring, second)
    assert len(ring._ring) <= 3
