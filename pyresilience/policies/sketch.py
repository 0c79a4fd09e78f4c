"""How often a key was used lately, roughly and in little room: a count-min sketch that ages. Pure.

Cormode, Muthukrishnan, "An Improved Data Stream Summary: The Count-Min Sketch and its Applications", 2005; with the
conservative update and the ageing of Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", 2017,
and two hashes for all rows as in Kirsch, Mitzenmacher, "Less Hashing, Same Performance", 2006.
"""

from __future__ import annotations

MOST = 15
"""Counters stop here."""

COUNTERS = 8
"""So many for each entry of the cache."""

PERIOD = 10
"""The counts are halved when this many uses for each entry were counted."""

_FEWEST = 64
_HALVES = bytes(count >> 1 for count in range(256))
_ODD, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def spread(number: int) -> int:
    """Distribute the bits of a hash evenly: those of small ints lie close together."""
    number = (number & _MASK) * _ODD & _MASK
    return (number ^ number >> 29) * _ODD & _MASK ^ number >> 32


class FrequencySketch:
    """Counts up to 15 by hashes, each in four counters that it shares with others; the least of them is nearest."""

    __slots__ = ("_counts", "_used")

    def __init__(self) -> None:
        self._counts = bytearray(_FEWEST)
        self._used = 0

    def count(self, number: int) -> None:
        """What has that hash was used."""
        counts, step = self._counts, number >> 32 | 1
        mask = len(counts) - 1
        places = (number & mask, number + step & mask, number + 2 * step & mask, number + 3 * step & mask)
        one, two, three, four = places
        least = min(counts[one], counts[two], counts[three], counts[four])
        self._used += 1
        if least < MOST:
            for place in places:
                if counts[place] == least:
                    counts[place] = least + 1

    def frequency(self, number: int) -> int:
        """How often it was used lately; never too low, sometimes too high."""
        counts, step = self._counts, number >> 32 | 1
        mask = len(counts) - 1
        return min(counts[number + row * step & mask] for row in range(4))

    def fit(self, entries: int) -> None:
        """Be of use for so many entries: grow with them, and let what was long ago count for less."""
        while len(self._counts) < entries * COUNTERS:
            self._counts = self._counts * 2
        if self._used >= entries * PERIOD:
            self._counts = self._counts.translate(_HALVES)
            self._used //= 2

    def clear(self) -> None:
        """Forget everything."""
        self._counts = bytearray(_FEWEST)
        self._used = 0
