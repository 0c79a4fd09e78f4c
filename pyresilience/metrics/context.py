"""Recording one call to a cache of one's own."""

from __future__ import annotations

from typing import Self

from .cache_metrics import CacheMetrics
from .counts import HITS, LATENCY, MISSES, REJECTIONS, RUNS, STALE, TIMEOUTS
from .recording import Recording, begin, end


class MetricsContext:
    """Times the block, as one call of these metrics.

    In the block, say by the `record_` methods what the call met, of this object or of the metrics themselves. Without
    metrics nothing is recorded.

    Args:
        metrics: Where to record; None: nowhere.

    >>> metrics = CacheMetrics()
    >>> with MetricsContext(metrics) as call:
    ...     call.record_hit()
    >>> metrics.get_stats().hits
    1
    """

    __slots__ = ("_before", "_began", "_call", "metrics")

    def __init__(self, metrics: CacheMetrics | None) -> None:
        self.metrics = metrics
        self._began = 0.0
        self._call: Recording | None = None
        self._before: tuple[Recording, ...] = ()

    def __enter__(self) -> Self:
        if self.metrics is not None:
            self._call = self.metrics.begin_call()
            self._before = begin(self._call)
            self._began = self.metrics.now()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.metrics is not None:
            self._record(LATENCY, max(0.0, self.metrics.now() - self._began))
            end(self._before)

    def record_hit(self) -> None:
        """The call was answered from the cache."""
        self._record(HITS)

    def record_miss(self) -> None:
        """The call found nothing usable in the cache."""
        self._record(MISSES)

    def record_stale_hit(self) -> None:
        """The call found an entry whose time was over."""
        self._record(STALE)

    def record_recalculation(self) -> None:
        """The call ran the function."""
        self._record(RUNS)

    def record_wait_timeout(self) -> None:
        """The call waited as long as it may for another caller."""
        self._record(TIMEOUTS)

    def record_size_limit_rejection(self) -> None:
        """The call's result was too large to be kept."""
        self._record(REJECTIONS)

    def _record(self, what: int, seconds: float = 0.0) -> None:
        if self.metrics is not None:
            self.metrics.record(what, seconds, call=self._call)
