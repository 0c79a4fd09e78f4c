"""What has been counted since the last look: for those who send differences."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from math import isfinite
from operator import sub

from ..families import Metric, Point, measure
from ..latencies import Latencies
from ..state import State
from .base import MetricsExporter
from .restored import restored

_SOURCES = ("cache", "circuit", "listener_errors")
"""Parts of a function's metrics that begin anew each by itself; all others do so together."""


class Deltas:
    """Remembers what it has told, per function and metric.

    What falls below what it was has begun anew (a `reset()`, a new snapshot): then all of it is new. What was restored
    from an earlier process is never told.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[Metric, tuple[str, ...]], float | Latencies] = {}
        self._skipped: weakref.WeakKeyDictionary[object, set[str]] = weakref.WeakKeyDictionary()

    def gains_of(self, exporters: Iterable[MetricsExporter]) -> list[tuple[Metric, list[Point]]]:
        """What the functions of *exporters* have gained; one that several have is told once."""
        with restored.lock:
            states = {state.function: state for exporter in exporters for state in exporter.states()}
            for exporter in exporters:
                self._skip(exporter)
        return self.gains(list(states.values()))

    def gains(self, states: list[State]) -> list[tuple[Metric, list[Point]]]:
        """Every metric with what its counters and histograms have gained since the last time, and gauges as they are.

        What is no finite number is left out.
        """
        found = [(metric, [point for point in points if _is_sound(point.value)]) for metric, points in measure(states)]
        new = {(metric, point.labels): point.value for metric, points in found for point in points}
        anew = {_source(key) for key, value in new.items() if _has_fallen(value, self._told.get(key))}
        told = {key: value for key, value in self._told.items() if _source(key) not in anew}
        self._told |= {key: value for key, value in new.items() if key[0].kind != "gauge"}
        return [
            (metric, [Point(each.labels, _gain(each.value, told.get((metric, each.labels)))) for each in points])
            for metric, points in found
        ]

    def _skip(self, exporter: MetricsExporter) -> None:
        """Take as told what was restored, once for each of the metrics."""
        for owner, state in restored.of(exporter):
            skipped = self._skipped.setdefault(owner, set())
            if state.function in skipped:
                continue
            skipped.add(state.function)
            for metric, points in measure([state]):
                for point in points:
                    key = (metric, point.labels)
                    if metric.kind != "gauge":
                        before = self._told.get(key)
                        self._told[key] = point.value if before is None else _sum(before, point.value)


def _source(key: tuple[Metric, tuple[str, ...]]) -> tuple[str, str]:
    metric, labels = key
    part = metric.key.partition(".")[0]
    return labels[0], part if part in _SOURCES else "runs"


def _is_sound(value: float | Latencies) -> bool:
    return isfinite(value.total if isinstance(value, Latencies) else value)


def _has_fallen(value: float | Latencies, before: float | Latencies | None) -> bool:
    if isinstance(value, Latencies) and isinstance(before, Latencies):
        return any(map(int.__lt__, value.counts, before.counts))
    return isinstance(value, (int, float)) and isinstance(before, (int, float)) and value < before


def _gain(value: float | Latencies, before: float | Latencies | None) -> float | Latencies:
    if isinstance(value, Latencies) and isinstance(before, Latencies):
        return Latencies(tuple(map(sub, value.counts, before.counts)), max(0.0, value.total - before.total))
    if isinstance(value, (int, float)) and isinstance(before, (int, float)):
        return value - before
    return value


def _sum(one: float | Latencies, other: float | Latencies) -> float | Latencies:
    if isinstance(one, Latencies) and isinstance(other, Latencies):
        return one + other
    assert not isinstance(one, Latencies)
    assert not isinstance(other, Latencies)
    return one + other
