"""Recording one call to a cache of one's own."""

from __future__ import annotations

from typing import Self

from .cache_metrics import CacheMetrics


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

    __slots__ = ("_began", "metrics")

    def __init__(self, metrics: CacheMetrics | None) -> None:
        self.metrics = metrics
        self._began = 0.0

    def __enter__(self) -> Self:
        if self.metrics is not None:
            self.metrics.begin_call()
            self._began = self.metrics.now()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.metrics is not None:
            self.metrics.record_latency(max(0.0, self.metrics.now() - self._began))

    def record_hit(self) -> None:
        """The call was answered from the cache."""
        if self.metrics is not None:
            self.metrics.record_hit()

    def record_miss(self) -> None:
        """The call found nothing usable in the cache."""
        if self.metrics is not None:
            self.metrics.record_miss()

    def record_stale_hit(self) -> None:
        """The call found an entry whose time was over."""
        if self.metrics is not None:
            self.metrics.record_stale_hit()

    def record_recalculation(self) -> None:
        """The call ran the function."""
        if self.metrics is not None:
            self.metrics.record_recalculation()

    def record_wait_timeout(self) -> None:
        """The call waited as long as it may for another caller."""
        if self.metrics is not None:
            self.metrics.record_wait_timeout()

    def record_size_limit_rejection(self) -> None:
        """The call's result was too large to be kept."""
        if self.metrics is not None:
            self.metrics.record_size_limit_rejection()
