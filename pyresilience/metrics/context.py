"""Recording one call to a cache of one's own."""

from __future__ import annotations

from typing import Self

from .cache_metrics import CacheMetrics
from .counts import LATENCY
from .recorder import Recorder
from .recording import Recording, begin, end


class MetricsContext(Recorder):
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
            self.record(LATENCY, max(0.0, self.metrics.now() - self._began))
            end(self._before)

    def record(self, what: int, seconds: float = 0.0) -> None:
        """Count *what* of this call."""
        if self.metrics is not None:
            self.metrics.record(what, seconds, self._call)
