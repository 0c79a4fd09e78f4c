"""A row of running totals with windows, safe for threads: what all our metrics count in."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from .._forks import renew_in_child
from .._settings import seconds
from .._typing import Duration
from ..clock import Clock, SystemClock
from .windows import SLICES, Totals, Windows

WINDOWS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
"""The windows that there are unless others are asked for."""


class Tally:
    """So many totals, which only grow, and what they were earlier.

    Whoever counts holds `lock`, calls `advance`, and adds to `totals`. The lock is re-entrant: a signal handler or a
    finalizer that interrupts the counting may count as well.

    Args:
        width: How many totals.
        window_sizes: The windows that can be asked for; None: a minute, an hour and a day.
        clock: Where the time is read.

    Raises:
        TypeError: A window is no duration.
        ValueError: A window is not above 0.
    """

    def __init__(
        self, width: int, window_sizes: Sequence[Duration] | None = None, *, clock: Clock | None = None
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.now = self.clock.monotonic
        self._width = width
        self._lengths = _lengths(WINDOWS if window_sizes is None else window_sizes)
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child counts its own, from nothing."""
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.totals: Totals = array("d", bytes(8 * self._width))
        self._earlier: Totals = self.totals[:]
        self._windows = Windows(self._lengths)

    def restore(self, totals: Sequence[float]) -> None:
        """Add what an earlier process counted; the windows do not see it."""
        with self.lock:
            self._earlier = _sum(self._earlier, totals)

    @property
    def lengths(self) -> list[float]:
        """The windows in seconds, the shortest first."""
        return self._windows.lengths

    def advance(self, now: float) -> None:
        """Let the windows move on, before something is counted."""
        self._windows.advance(now, self.totals)

    def within(self, window: Duration | None) -> Totals:
        """What was counted in the last *window* seconds; None: since the beginning. The holder locks.

        Raises:
            TypeError: It is no duration.
            ValueError: It is not above 0, or longer than the longest window.
        """
        if window is None:
            return _sum(self.totals, self._earlier)
        length = seconds(window)
        if not length > 0:
            raise ValueError(f"window must be > 0 seconds, got {window!r}")
        return self._since(length, self.now())

    def history(self, window: float, places: Sequence[int]) -> list[list[int]]:
        """Per place, about what was counted in each slice of the last *window* seconds, the oldest first.

        It is for drawing: what was counted between two marks is spread evenly. The holder locks.

        Raises:
            ValueError: *window* is longer than the longest window.
        """
        now, step, ring = self.now(), window / SLICES, self._windows.ring(window)
        edges = [ring.at(now - step * back, now, self.totals, places) for back in range(SLICES, -1, -1)]
        whole = [[round(count) for count in edge] for edge in edges]
        return [[later[nth] - earlier[nth] for earlier, later in pairwise(whole)] for nth in range(len(places))]

    def _since(self, length: float, now: float) -> Totals:
        before = self._windows.ring(length).before(now - length)
        return _difference(self.totals, self.totals if before is None else before)


def _sum(one: Sequence[float], another: Sequence[float]) -> Totals:
    return array("d", map(float.__add__, one, map(float, another)))


def _difference(one: Totals, another: Totals) -> Totals:
    return array("d", map(float.__sub__, one, another))


def _lengths(sizes: Sequence[Duration]) -> list[float]:
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, Sequence):
        raise TypeError(f"window_sizes must be a sequence of durations, got {sizes!r}")
    lengths = [seconds(size) for size in sizes]
    for size, length in zip(sizes, lengths, strict=True):
        if not 0 < length < float("inf"):
            raise ValueError(f"window_sizes must be finite and > 0 seconds, got {size!r}")
    return lengths
