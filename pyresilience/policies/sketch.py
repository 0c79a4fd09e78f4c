"""How often a key was used lately: roughly, and in little room. Pure.

The count-min sketch is of Cormode and Muthukrishnan, "An Improved Data Stream Summary", Journal of Algorithms 2005; that
only the least counters grow, and that all are halved from time to time, of Einziger, Friedman, Manes, "TinyLFU: A Highly
Efficient Cache Admission Policy", ACM Transactions on Storage 2017; that two hashes do for four, of Kirsch, Mitzenmacher,
"Less Hashing, Same Performance", ESA 2006.
"""

from __future__ import annotations

MOST = 15
"""Counters stop here."""

COUNTERS = 8
"""At least so many for each entry of the cache, a byte each."""

PERIOD = 10
"""The counters are halved once they have seen so many uses for each entry of the cache."""

_FEWEST = 64
_HALVES = bytes(count >> 1 for count in range(256))
_BITS, _ODD = 0xFFFF_FFFF_FFFF_FFFF, 0x9E37_79B9_7F4A_7C15


def spread(number: int) -> int:
    """A hash of which every bit depends on every bit of *number*; those of small ints differ in a few bits only."""
    number = (number & _BITS) * _ODD & _BITS
    number = (number ^ number >> 32) * _ODD & _BITS
    return number ^ number >> 29


def _places(number: int, mask: int) -> tuple[int, int, int, int]:
    step = number >> 32 | 1
    return number & mask, number + step & mask, number + 2 * step & mask, number + 3 * step & mask


class FrequencySketch:
    """Each key has four counters, which it shares with others: the lowest of them is its frequency, or a little more."""

    __slots__ = ("_counts", "_used")

    def __init__(self) -> None:
        self._counts = bytearray(_FEWEST)
        self._used = 0

    def count(self, number: int) -> None:
        """What has this hash, well spread, was used."""
        counts = self._counts
        places = _places(number, len(counts) - 1)
        one, two, three, four = places
        least = min(counts[one], counts[two], counts[three], counts[four])
        self._used += 1
        if least < MOST:
            for place in places:
                if counts[place] == least:
                    counts[place] = least + 1

    def frequency(self, number: int) -> int:
        """How often it was used lately, up to 15; sometimes too high, for want of room."""
        counts = self._counts
        one, two, three, four = _places(number, len(counts) - 1)
        return min(counts[one], counts[two], counts[three], counts[four])

    def fit(self, entries: int) -> None:
        """Serve a cache of so many entries: have room for them, and let the past count for less and less."""
        while len(self._counts) < entries * COUNTERS:
            self._counts = self._counts * 2  # one bit more of each hash decides which of both copies is its own
        if self._used >= entries * PERIOD:
            self._counts = self._counts.translate(_HALVES)
            self._used //= 2

    def clear(self) -> None:
        """Forget everything."""
        self._counts = bytearray(_FEWEST)
        self._used = 0
