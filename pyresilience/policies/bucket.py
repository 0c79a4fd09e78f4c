"""A token bucket: what a retry budget spends."""

from __future__ import annotations


class TokenBucket:
    """Holds up to *capacity* tokens and gains *rate* per second. Not thread-safe; the holder locks."""

    __slots__ = ("_at", "_capacity", "_rate", "_tokens")

    def __init__(self, *, rate: float, capacity: float, now: float) -> None:
        self._rate, self._capacity = rate, capacity
        self._tokens, self._at = capacity, now

    def take(self, now: float) -> bool:
        """Take one token; False: there is none."""
        if self.available(now) < 1.0:
            return False
        self._tokens = self.available(now) - 1.0
        self._at = now
        return True

    def available(self, now: float) -> float:
        """Tokens at hand."""
        return min(self._capacity, self._tokens + max(0.0, now - self._at) * self._rate)

    def fill(self, now: float) -> None:
        """Be full."""
        self._tokens, self._at = self._capacity, now
