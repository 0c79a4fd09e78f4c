"""What `/cache/stats` and `/cache/clear` say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .._go_duration import go_duration
from .messages import Refused, Request

if TYPE_CHECKING:
    from ..metrics.snapshot import MetricSnapshot
    from ..metrics.state import State


def cache_stats(states: Sequence[State], timestamp: str) -> dict[str, Any]:
    """The sum over the caches, the moment, and the same for each function.

    Where the caches keep their entries for different times, the sum's `ttl` is the longest of those that are known.
    `0s` means that entries never expire, or that there is no cache; None, that a function tells how long.
    """
    from ..metrics.snapshot import MetricSnapshot

    caches = {state.function: (state.cache, state.ttl) for state in states if state.cache is not None}
    total = MetricSnapshot.merge(*(snapshot for snapshot, _ in caches.values()))
    lives = [ttl for _, ttl in caches.values() if ttl is not None]
    return {
        "cache": _figures(total, 0.0 if 0.0 in lives else max(lives, default=None if caches else 0.0)),
        "timestamp": timestamp,
        "functions": {label: _figures(snapshot, ttl) for label, (snapshot, ttl) in caches.items()},
    }


def _figures(snapshot: MetricSnapshot, ttl: float | None) -> dict[str, Any]:
    """The documented fields first, then ours; *ttl* None: not known."""
    return {
        "max_size": snapshot.max_entries or 0,
        "size": snapshot.entry_count,
        "total_hits": snapshot.hits,
        "ttl": None if ttl is None else go_duration(ttl),
        "misses": snapshot.misses,
        "hit_ratio": snapshot.hit_ratio if snapshot.total_calls else None,
        "coalesced": snapshot.coalesced,
        "stale_hits": snapshot.stale_hits,
        "stale_served": snapshot.stale_served,
        "recalculations": snapshot.recalculations,
        "wait_timeouts": snapshot.wait_timeouts,
        "size_limit_rejections": snapshot.size_limit_rejections,
        "evictions": asdict(snapshot.evictions),
        "bytes": snapshot.total_size_bytes,
        "max_weight": snapshot.max_weight,
        "reloading": snapshot.reloading,
        "reload_failures": snapshot.reload_failures,
    }


def cleared(removed: int, freed: int, caches: int, timestamp: str) -> dict[str, Any]:
    """What clearing has done; the number of entries stands under both names that clients look for."""
    entries = "1 entry" if removed == 1 else f"{removed} entries"
    return {
        "message": f"{entries} removed from {'1 cache' if caches == 1 else f'{caches} caches'}",
        "timestamp": timestamp,
        "entries_removed": removed,
        "cleared_entries": removed,
        "freed_bytes": freed,
    }


def wanted(request: Request, body: bytes) -> str | None:
    """The function whose cache is to be cleared, from `?function=` or the body `{"function": …}`; None: all.

    Raises:
        Refused: The body is not such an object, or query and body disagree.
    """
    asked = request.parameter("function")
    told = _from_body(body)
    if asked is not None and told is not None and asked != told:
        raise Refused(400, "INVALID_REQUEST", "the query string and the body name different functions: name one")
    return told if asked is None else asked


def _from_body(body: bytes) -> str | None:
    if not body.strip():
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "INVALID_JSON", "the body is not JSON in UTF-8; leave it out to clear everything") from None
    if not isinstance(content, dict) or not set(content) <= {"function"}:
        raise Refused(400, "INVALID_REQUEST", 'the body must be {"function": "<name>"}, {} or empty')
    function = content.get("function")
    if function is not None and not isinstance(function, str):
        raise Refused(400, "INVALID_REQUEST", '"function" must be text: a name as /cache/stats shows it')
    return function
