"""At most so many admissions in any window of one period: what a rate limiter reserves."""

from __future__ import annotations

from collections import deque


class AdmissionRing:
    """Remembers the admissions that a window can still see, past and reserved, in order.

    The next admission follows the last *calls* of them by one *period* at least, so that no window of one
    period, wherever it starts, holds more than *calls*. Not thread-safe; the holder locks.
    """

    __slots__ = ("_calls", "_period", "_times")

    def __init__(self, *, calls: int, period: float) -> None:
        self._calls, self._period = calls, period
        self._times: deque[float] = deque()

    def earliest(self, now: float) -> float:
        """When the next admission may happen."""
        times, period = self._times, self._period
        while times and times[0] + period <= now:
            times.popleft()
        if not times:
            return now
        start = max(now, times[-1])
        return start if len(times) < self._calls else max(start, times[-self._calls] + period)

    def reserve(self, now: float, patience: float) -> float | None:
        """The time of the admission now reserved; None: there is none within *patience* seconds."""
        at = self.earliest(now)
        if at - now > patience:
            return None
        self._times.append(at)
        return at

    def give_back(self, at: float) -> None:
        """The admission reserved for *at* did not happen. Giving back what is not there changes nothing."""
        if self._times and self._times[-1] == at:
            self._times.pop()
        elif at in self._times:
            self._times.remove(at)

    def free(self, now: float) -> int:
        """How many calls would be admitted at once."""
        return 0 if self.earliest(now) > now else self._calls - len(self._times)
