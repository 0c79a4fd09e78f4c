"""States as JSON, checked to the letter when they come back: a file may be anybody's."""

from __future__ import annotations

from dataclasses import fields
from math import isfinite
from typing import Any

from .latencies import BUCKETS, Latencies
from .run_metrics import NUMBERS, STAGES, RunSnapshot
from .snapshot import Evictions, MetricSnapshot
from .state import SERIES, STATES, Circuit, State
from .windows import SLICES

LARGEST = 2**53
"""Beyond it, floats cannot count."""

_LATER = ("stale_served", "reloading", "reload_failures")
"""Counts that files of earlier versions do not have."""
_WHOLE = [each.name for each in fields(MetricSnapshot) if each.type == "int" and each.name not in _LATER]


def from_json(data: Any) -> State:
    """The state that `State.to_json` was called of.

    Raises:
        ValueError: It is none; the message says what is wrong.
    """
    try:
        return State(
            function=_text(data["function"]),
            cache=_cache(data["cache"]),
            ttl=None if data["ttl"] is None else _number(data["ttl"]),
            runs=_runs(data["runs"]),
            circuit=_circuit(data["circuit"]),
            listener_errors=_count(data["listener_errors"]),
            recent={_window(window): (_cache(cache), _runs(runs)) for window, (cache, runs) in data["recent"].items()},
            history={_window(window): _series(series) for window, series in data["history"].items()},
        )
    except (LookupError, TypeError, AttributeError, OverflowError, ValueError) as error:
        raise ValueError(f"this is no state of a function: {type(error).__name__}: {error}") from None


def _cache(data: Any) -> MetricSnapshot | None:
    if data is None:
        return None
    return MetricSnapshot(
        **{name: _count(data[name]) for name in _WHOLE},
        **{name: _count(data.get(name, 0)) for name in _LATER},
        max_weight=None if data.get("max_weight") is None else _number(data["max_weight"]),
        hit_rate=_number(data["hit_rate"]),
        avg_latency_ms=_number(data["avg_latency_ms"]),
        evictions=Evictions(**{name: _count(count) for name, count in data["evictions"].items()}),
        max_entries=None if data["max_entries"] is None else _count(data["max_entries"]),
        sampling_rate=_share(data["sampling_rate"]),
        hit_latency=_latencies(data["hit_latency"]),
        load_latency=_latencies(data["load_latency"]),
    )


def _runs(data: Any) -> RunSnapshot | None:
    if data is None:
        return None
    return RunSnapshot(
        **{name: _count(data[name]) for name in NUMBERS},
        rejections=_counts(data["rejections"], len(STAGES)),
        latency=_latencies(data["latency"]),
    )


def _circuit(data: Any) -> Circuit | None:
    if data is None:
        return None
    turns = tuple((_number(when), _circuit_state(state)) for when, state in data["turns"])
    return Circuit(_circuit_state(data["state"]), _counts(data["transitions"], len(STATES)), turns)


def _series(data: Any) -> dict[str, list[int]]:
    return {name: list(_counts(data[name], SLICES)) for name in SERIES}


def _latencies(data: Any) -> Latencies:
    return Latencies(_counts(data["counts"], BUCKETS), _number(data["total"]))


def _counts(data: Any, length: int) -> tuple[int, ...]:
    counts = tuple(map(_count, data))
    if len(counts) != length:
        raise ValueError(f"there must be {length} counts, got {len(counts)}")
    return counts


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise ValueError("a count must be a whole number from 0 to 2 ** 53")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not (isfinite(value) and value >= 0):
        raise ValueError(f"a number must be finite and >= 0, got {value!r}")
    return float(value)


def _share(value: Any) -> float:
    if _number(value) > 1:
        raise ValueError(f"a share must be at most 1, got {value!r}")
    return float(value)


def _window(text: Any) -> float:
    length = _number(float(text))
    if not length:
        raise ValueError("a window must be > 0 seconds")
    return length


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a label must be text, got {value!r}")  # noqa: TRY004 - of a file, every fault is of its value
    return value


def _circuit_state(value: Any) -> str:
    if value not in STATES:
        raise ValueError(f"a circuit is one of {', '.join(STATES)}, got {value!r}")
    return str(value)
