"""What a sandbox shows of its cache, as `sandbox.cache`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from .._go_duration import go_duration
from .runner import Runner


class CacheView:
    """Statistics of the cache, and its end. *timeout* is accepted as a remote sandbox needs it: nothing here waits.

    Args:
        runner: Whose cache.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def stats(self, *, timeout: float | None = None) -> dict[str, Any]:
        """What the cache holds and has answered: the four documented fields first, then further ones.

        `hit_ratio` is 0..1; `bytes` an estimate; `oldest_age` the seconds since the oldest entry was made.
        """
        cache = self._runner.cache
        with self._runner.lock:
            metrics, made = self._runner.metrics.get_stats(), [ended.at for ended in cache.values()]
        now = cache.now()
        return {
            "cache": {
                "max_size": cache.config.max_size,
                "size": len(made),
                "total_hits": metrics.hits,
                "ttl": go_duration(cache.ttl or 0.0),
                "misses": metrics.misses,
                "hit_ratio": metrics.hit_ratio,
                "coalesced": metrics.coalesced,
                "bytes": metrics.total_size_bytes,
                "oldest_age": max((now - at for at in made), default=0.0),
            },
            "timestamp": _timestamp(),
        }

    def clear(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Forget every result, and the counts."""
        cache, metrics = self._runner.cache, self._runner.metrics
        with self._runner.lock:
            before = metrics.get_stats()
            cache.clear()
            metrics.reset()
        return {
            "message": "the cache was cleared",
            "timestamp": _timestamp(),
            "entries_removed": before.entry_count,
            "cleared_entries": before.entry_count,
            "freed_bytes": before.total_size_bytes,
        }


class AsyncCacheView:
    """The same with `await`.

    Args:
        runner: Whose cache.
    """

    def __init__(self, runner: Runner) -> None:
        self._view = CacheView(runner)

    async def stats(self, *, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - part of the contract
        """What the cache holds and has answered, as `CacheView.stats` says."""
        return self._view.stats(timeout=timeout)

    async def clear(self, *, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - part of the contract
        """Forget every result, and the counts."""
        return self._view.clear(timeout=timeout)


def _timestamp() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
