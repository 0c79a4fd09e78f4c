"""Counts of events and latencies of runs, per function, in memory."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

from .._forks import renew_in_child
from ..events import EventType, ResilienceEvent

KEPT = 1000
"""How many latencies are kept of each function: the latest."""


class MetricsCollector:
    """A listener that counts. Its memory is bounded by the number of functions, however many calls they get.

    Args:
        max_latencies: Latencies kept of each function; older ones are forgotten.
    """

    def __init__(self, max_latencies: int = KEPT) -> None:
        if not isinstance(max_latencies, int) or max_latencies < 1:
            raise ValueError(f"max_latencies must be a whole number >= 1, got {max_latencies!r}")
        self._max_latencies = max_latencies
        self._counts: dict[str, Counter[str]] = {}
        self._latencies: dict[str, deque[float]] = {}
        self._lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own, and goes on counting where its parent was."""
        self._lock = threading.RLock()

    def __call__(self, event: ResilienceEvent) -> None:
        """Count *event*."""
        name = event.function_name
        with self._lock:
            self._counts.setdefault(name, Counter())[event.event_type.value] += 1
            if event.duration is not None and event.event_type in (EventType.SUCCESS, EventType.FAILURE):
                self._latencies.setdefault(name, deque(maxlen=self._max_latencies)).append(event.duration)

    def get_counts(self, function_name: str | None = None) -> dict[str, dict[str, int]]:
        """`{function: {event type: count}}`, of all functions or of one."""
        with self._lock:
            return {name: dict(counts) for name, counts in self._counts.items() if function_name in (None, name)}

    def get_latencies(self, function_name: str | None = None) -> dict[str, list[float]]:
        """`{function: [seconds of each run, …]}`, the latest last, of all functions or of one."""
        with self._lock:
            return {name: list(took) for name, took in self._latencies.items() if function_name in (None, name)}

    def summary(self) -> dict[str, dict[str, Any]]:
        """Per function: `events`, `total_calls` (runs and cache hits), `success_rate`, and latencies in seconds.

        `success_rate` is the share of calls that returned, cache hits included.
        """
        latencies = self.get_latencies()
        return {name: _sum_up(counts, latencies.get(name, [])) for name, counts in self.get_counts().items()}

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counts.clear()
            self._latencies.clear()


def _sum_up(counts: dict[str, int], latencies: list[float]) -> dict[str, Any]:
    good = counts.get("success", 0) + counts.get("cache_hit", 0)
    total = good + counts.get("failure", 0)
    ordered = sorted(latencies)
    return {
        "events": counts,
        "total_calls": total,
        "success_rate": good / total if total else 0.0,
        "avg_latency": sum(ordered) / len(ordered) if ordered else None,
        "p50_latency": _quantile(ordered, 0.50),
        "p99_latency": _quantile(ordered, 0.99),
    }


def _quantile(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
