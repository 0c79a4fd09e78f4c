"""At most so many admissions in any window of one period: what a rate limiter reserves."""

from __future__ import annotations

from collections import deque


class Reservation:
    """The right to begin, *at* that time."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = 0.0


class AdmissionRing:
    """Remembers the admissions that a window can still see, past and reserved, in order.

    The next admission follows the last *calls* of them by one *period* at least, so that no window of one
    period, wherever it starts, holds more than *calls*. Not thread-safe; the holder locks.
    """

    __slots__ = ("_calls", "_period", "_ring")

    def __init__(self, *, calls: int, period: float) -> None:
        self._calls, self._period = calls, period
        self._ring: deque[Reservation] = deque()

    def earliest(self, now: float) -> float:
        """When the next admission may happen."""
        ring, period = self._ring, self._period
        while ring and ring[0].at + period <= now:
            ring.popleft()
        if not ring:
            return now
        start = max(now, ring[-1].at)
        return start if len(ring) < self._calls else max(start, ring[-self._calls].at + period)

    def reserve(self, reservation: Reservation, now: float, patience: float) -> bool:
        """Fill in *reservation*; False: there is no admission within *patience* seconds."""
        reservation.at = self.earliest(now)
        if reservation.at - now > patience:
            return False
        self._ring.append(reservation)
        return True

    def give_back(self, reservation: Reservation) -> None:
        """The admission did not happen. Giving back what is not there changes nothing."""
        if self._ring and self._ring[-1] is reservation:
            self._ring.pop()
        elif reservation in self._ring:
            self._ring.remove(reservation)

    def free(self, now: float) -> int:
        """How many calls would be admitted at once."""
        return 0 if self.earliest(now) > now else self._calls - len(self._ring)
