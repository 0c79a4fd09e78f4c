"""What can be said of a call by hand."""

from __future__ import annotations

from .counts import HITS, MISSES, REJECTIONS, RUNS, SERVED, STALE, TIMEOUTS


class Recorder:
    """Something that records calls: metrics, or one call of theirs."""

    __slots__ = ()

    def record_hit(self) -> None:
        """The call was answered from the cache."""
        self.record(HITS)

    def record_miss(self) -> None:
        """The call found nothing usable in the cache."""
        self.record(MISSES)

    def record_stale_hit(self) -> None:
        """The call found an entry whose time was over."""
        self.record(STALE)

    def record_stale_served(self) -> None:
        """The call was answered with that entry all the same."""
        self.record(SERVED)

    def record_recalculation(self) -> None:
        """The call ran the function."""
        self.record(RUNS)

    def record_wait_timeout(self) -> None:
        """The call waited as long as it may for another caller."""
        self.record(TIMEOUTS)

    def record_size_limit_rejection(self) -> None:
        """The call's result was too large to be kept."""
        self.record(REJECTIONS)

    def record(self, what: int, seconds: float = 0.0) -> None:
        """Count *what*: a place among the totals, or LATENCY and how many *seconds*."""
        raise NotImplementedError
