"""Frequencies, against exact counts."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.sketch import COUNTERS, MOST, PERIOD, FrequencySketch, spread

KEYS = st.lists(st.integers(0, 60), max_size=300)


def sketch_of(keys, entries=100):
    """A sketch for so many entries that has counted *keys*."""
    sketch = FrequencySketch()
    sketch.fit(entries)
    for key in keys:
        sketch.count(spread(key))
    return sketch


@given(keys=KEYS, entries=st.integers(1, 200))
def test_it_never_counts_too_few(keys, entries):
    """A key was used at most as often as the sketch says, up to where its counters stop."""
    sketch = sketch_of(keys, entries)
    for key, uses in Counter(keys).items():
        assert min(uses, MOST) <= sketch.frequency(spread(key)) <= MOST


def test_it_counts_few_keys_exactly():
    """With room enough next to nothing is shared: of 100 keys used once to ten times, hardly one is overrated."""
    keys = [key for key in range(100) for _ in range(1 + key % 10)]
    sketch = sketch_of(keys, entries=100)
    overrated = sum(sketch.frequency(spread(key)) - uses for key, uses in Counter(keys).items())
    assert 0 <= overrated <= 10


@given(keys=KEYS, entries=st.integers(1, 500))
def test_growing_changes_no_frequency(keys, entries):
    """A larger sketch says of everything what the smaller one said."""
    sketch = sketch_of(keys, 1)
    before = [sketch.frequency(spread(key)) for key in range(61)]
    sketch._used = 0
    sketch.fit(entries)
    assert len(sketch._counts) >= entries * COUNTERS
    assert [sketch.frequency(spread(key)) for key in range(61)] == before


def test_what_is_long_ago_counts_for_less():
    """After so many uses for each entry all frequencies are halved, and again after half as many."""
    sketch = sketch_of([1] * 12 + [2] * 5, entries=100)
    for turn in range(2):
        sketch._used = 100 * PERIOD - 1
        sketch.fit(100)
        assert sketch.frequency(spread(1)) == 12 >> turn
        sketch._used += 1
        sketch.fit(100)
        assert sketch._used == 50 * PERIOD
    assert [sketch.frequency(spread(key)) for key in (1, 2, 3)] == [3, 1, 0]


def test_clearing_forgets_everything():
    """A cleared sketch is like a new one, and as small."""
    sketch = sketch_of(range(50), entries=1000)
    sketch.clear()
    assert [sketch._counts, sketch._used] == [FrequencySketch()._counts, 0]


@given(st.sets(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_a_spread_hash_is_one_to_one_and_of_64_bits(numbers):
    """Different hashes stay different."""
    spreads = {spread(number) for number in numbers}
    assert len(spreads) == len(numbers)
    assert all(0 <= each < 2**64 for each in spreads)


def test_the_hashes_of_small_numbers_are_spread():
    """Neighbours, and multiples of large powers of two, fall into all the places of a small table."""
    for step in (1, 2**20, 2**40):
        for shift in (0, 32):
            places = Counter(spread(number * step) >> shift & 63 for number in range(64 * 32))
            assert len(places) == 64
            assert max(places.values()) < 64
