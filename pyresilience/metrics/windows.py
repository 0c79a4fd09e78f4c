"""Running totals as they stood at earlier times, so that a window is one subtraction. Pure.

A ring holds marks: the totals before the first count of each slice of its window. As a mark bears the time of that
first count, a window that ends in a pause is exact; under steady traffic it may miss up to one slice at its far end,
and it never shows what is older than itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from operator import itemgetter
from typing import TypeAlias

Totals: TypeAlias = "array[float]"

SLICES = 16
"""Slices of a window: how exact it is."""

_time = itemgetter(0)


class Ring:
    """The marks of one window of *length* seconds."""

    __slots__ = ("_marks", "_slice", "length")

    def __init__(self, length: float) -> None:
        self.length = length
        self._slice = length / SLICES
        self._marks: deque[tuple[float, Totals]] = deque(maxlen=SLICES + 1)

    @property
    def due(self) -> float:
        """When the next mark is to be set."""
        return self._marks[-1][0] + self._slice if self._marks else -inf

    def mark(self, now: float, totals: Totals) -> None:
        """Remember that *totals* stood so *now*."""
        self._marks.append((now, totals))

    def before(self, moment: float) -> Totals | None:
        """What had been counted up to *moment*; None: nothing has been counted since."""
        place = bisect_right(self._marks, moment, key=_time)
        return self._marks[place][1] if place < len(self._marks) else None

    def at(self, moment: float, now: float, totals: Totals, places: Sequence[int]) -> list[float]:
        """About what had been counted up to *moment*, at some *places*: evenly, between one mark and the next."""
        place = bisect_right(self._marks, moment, key=_time)
        end, after = self._marks[place] if place < len(self._marks) else (now, totals)
        if not place:
            return [after[each] for each in places]
        begin, before = self._marks[place - 1]
        share = 1.0 if moment >= end else min(1.0, (moment - begin) / min(self._slice, end - begin))
        return [before[each] + (after[each] - before[each]) * share for each in places]


class Windows:
    """The rings of several windows.

    Args:
        lengths: The windows, in seconds.
    """

    __slots__ = ("_due", "_rings")

    def __init__(self, lengths: Iterable[float]) -> None:
        self._rings = [Ring(length) for length in sorted(set(lengths))]
        self._due = -inf if self._rings else inf

    @property
    def lengths(self) -> list[float]:
        """The windows in seconds, the shortest first."""
        return [ring.length for ring in self._rings]

    def advance(self, now: float, totals: Totals) -> None:
        """Set the marks that are due, before something is counted *now*."""
        if now < self._due:
            return
        copy = totals[:]
        for ring in self._rings:
            if now >= ring.due:
                ring.mark(now, copy)
        self._due = min(ring.due for ring in self._rings)

    def ring(self, length: float) -> Ring:
        """The ring that reaches *length* seconds back.

        Raises:
            ValueError: It is longer than the longest window.
        """
        for ring in self._rings:
            if length <= ring.length:
                return ring
        longest = f"at most {self.lengths[-1]:g} s" if self._rings else "None: there are no window_sizes"
        raise ValueError(f"window must be {longest}, got {length:g} s; give a longer one in window_sizes")
