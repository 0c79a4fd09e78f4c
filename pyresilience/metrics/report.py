"""What `/stats.json` says: for the page, the terminal, and whoever else reads JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from . import run_metrics
from .latencies import Latencies
from .run_metrics import OUTCOMES, STAGES, RunSnapshot
from .snapshot import MetricSnapshot
from .state import SERIES, State, add_up
from .windows import SLICES


def report(states: Iterable[State], window: float | None = None) -> dict[str, Any]:
    """All that the (detailed) states say, ready for JSON.

    Args:
        states: What is known of each function.
        window: Counts and durations of the last so many seconds, of those functions that were measured over such a
            window; None: since the start.
    """
    states, now = add_up(states), time.time()
    windows = sorted({each for state in states for each in state.recent})
    shown = states if window is None else [state.within(window) for state in states]
    return {
        "timestamp": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "now": now,
        "window": window,
        "windows": windows,
        "totals": {name: sum(_total(state, name) for state in states) for name in SERIES},
        "functions": [_function(state) for state in shown],
        "history": {f"{each:g}": _history(states, each, now) for each in windows},
    }


def _total(state: State, name: str) -> int:
    """What was counted of *name* since the start."""
    return int(getattr(state.runs if name in run_metrics.SERIES else state.cache, name, 0))


def _function(state: State) -> dict[str, Any]:
    return {
        "function": state.function,
        "cache": state.cache and _cache(state.cache, state.ttl),
        "runs": state.runs and _runs(state.runs),
        "circuit": state.circuit and {"state": state.circuit.state, "history": list(state.circuit.turns)},
        "listener_errors": state.listener_errors,
    }


def _cache(cache: MetricSnapshot, ttl: float | None) -> dict[str, Any]:
    return {
        "calls": cache.total_calls,
        "hits": cache.hits,
        "fresh_hits": cache.hits - cache.coalesced,
        "coalesced": cache.coalesced,
        "stale_hits": cache.stale_hits,
        "stale_served": cache.stale_served,
        "misses": cache.misses,
        "recalculations": cache.recalculations,
        "wait_timeouts": cache.wait_timeouts,
        "size_limit_rejections": cache.size_limit_rejections,
        "hit_ratio": cache.hit_ratio if cache.total_calls else None,
        "entries": cache.entry_count,
        "max_entries": cache.max_entries,
        "bytes": cache.total_size_bytes,
        "max_weight": cache.max_weight,
        "reloading": cache.reloading,
        "reload_failures": cache.reload_failures,
        "ttl": ttl,
        "evictions": asdict(cache.evictions),
        "sampling_rate": cache.sampling_rate,
        "hit_latency": _quantiles(cache.hit_latency),
        "load_latency": _quantiles(cache.load_latency),
    }


def _runs(runs: RunSnapshot) -> dict[str, Any]:
    return {
        **{name: getattr(runs, name) for name in (*OUTCOMES, "retries", "timeouts", "fallbacks")},
        "rejections": dict(zip(STAGES, runs.rejections, strict=True)),
        "latency": _quantiles(runs.latency),
    }


def _quantiles(latency: Latencies) -> dict[str, float | None]:
    return {"p50": latency.quantile(0.50), "p95": latency.quantile(0.95), "p99": latency.quantile(0.99)}


def _history(states: Sequence[State], window: float, now: float) -> dict[str, Any]:
    counts = [state.history[window] for state in states if window in state.history]
    series = {name: [sum(each[name][place] for each in counts) for place in range(SLICES)] for name in SERIES}
    return {"step": window / SLICES, "end": now, **series}
