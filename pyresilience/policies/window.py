"""What happened lately: windows over calls or over time, O(1) for each call."""

from __future__ import annotations

from collections import deque
from typing import Protocol

BUCKETS = 20
"""A time window is a ring of this many buckets, so it is exact to one twentieth of its length."""


class Window(Protocol):
    """Counts of the calls that are still in view."""

    calls: int
    failures: int
    slow: int

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """A call ended."""
        ...

    def look(self, now: float) -> None:
        """Let go of what is out of view."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class CountWindow:
    """The last *size* calls."""

    __slots__ = ("_ring", "calls", "failures", "slow")

    def __init__(self, size: int) -> None:
        self._ring: deque[tuple[bool, bool]] = deque(maxlen=size)
        self.calls = self.failures = self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """A call ended."""
        if len(self._ring) == self._ring.maxlen:
            old_failed, old_slow = self._ring[0]
            self.failures -= old_failed
            self.slow -= old_slow
        self._ring.append((failed, slow))
        self.calls = len(self._ring)
        self.failures += failed
        self.slow += slow

    def look(self, now: float) -> None:
        """Nothing leaves by time."""

    def clear(self) -> None:
        """Forget everything."""
        self._ring.clear()
        self.calls = self.failures = self.slow = 0


class TimeWindow:
    """The calls of the last *length* seconds."""

    __slots__ = ("_buckets", "_width", "calls", "failures", "slow")

    def __init__(self, length: float) -> None:
        self._width = length / BUCKETS
        self._buckets: deque[list[int]] = deque()
        self.calls = self.failures = self.slow = 0

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """A call ended."""
        self.look(now)
        number = int(now // self._width)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += 1
        bucket[2] += failed
        bucket[3] += slow
        self.calls += 1
        self.failures += failed
        self.slow += slow

    def look(self, now: float) -> None:
        """Let go of what is out of view."""
        oldest = int(now // self._width) - BUCKETS
        while self._buckets and self._buckets[0][0] <= oldest:
            _, calls, failures, slow = self._buckets.popleft()
            self.calls -= calls
            self.failures -= failures
            self.slow -= slow

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self.calls = self.failures = self.slow = 0
