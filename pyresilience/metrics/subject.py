"""What is measured: a decorated function, or a cache's metrics under a name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import MethodType
from typing import TYPE_CHECKING, Any

from .._functions import label_of
from .._log import log
from ..policies.circuit import CircuitState
from .cache_metrics import CacheMetrics
from .pipeline_metrics import PipelineMetrics, RunSnapshot
from .snapshot import MetricSnapshot
from .state import SERIES, STATES, Circuit, State, add_up
from .windows import SLICES

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..stages.circuit_breaker import CircuitBreaker


class Subject:
    """Something that has metrics.

    Args:
        function: A decorated function. What it is decorated with now is read each time.

    Raises:
        ValueError: It has no metrics.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function: Any = function.__func__ if isinstance(function, MethodType) else function
        self.label = label_of(getattr(self.function, "__wrapped__", self.function))
        if self.metrics is None and self.runs is None:
            raise ValueError(
                f"{self.label} has no metrics: decorate it with @resilient(cache=CacheConfig(enable_metrics=True)), "
                "or without a cache with listeners=[PipelineMetrics()]"
            )

    @property
    def metrics(self) -> CacheMetrics | None:
        """The metrics of its cache."""
        found = getattr(self.function, "metrics", None)
        return found if isinstance(found, CacheMetrics) else None

    @property
    def runs(self) -> PipelineMetrics | None:
        """The metrics of its pipeline."""
        found = getattr(self._pipeline, "metrics", None)
        return found if isinstance(found, PipelineMetrics) else None

    @property
    def _pipeline(self) -> Pipeline | None:
        return getattr(self.function, "pipeline", None)

    def state(self, *, detailed: bool = False) -> State:
        """All there is to know now; *detailed*: its windows and its history as well."""
        metrics, runs, pipeline = self.metrics, self.runs, self._pipeline
        windows = (metrics.window_sizes if metrics else runs.window_sizes if runs else ()) if detailed else ()
        cache = getattr(self.function, "cache", None)
        return State(
            function=self.label,
            cache=None if metrics is None else metrics.get_stats(),
            ttl=None if cache is None else cache.ttl,
            runs=None if runs is None else runs.get_stats(self.label),
            circuit=_circuit(getattr(self.function, "circuit_breaker", None)),
            listener_errors=pipeline.listener_errors if pipeline else 0,
            recent={window: self._recent(window) for window in windows},
            history={window: _history(metrics, runs, self.label, window) for window in windows},
        )

    def _recent(self, window: float) -> tuple[MetricSnapshot | None, RunSnapshot | None]:
        metrics, runs = self.metrics, self.runs
        return (
            None if metrics is None else metrics.get_stats(window),
            None if runs is None else runs.get_stats(self.label, window),
        )


def _circuit(breaker: CircuitBreaker | None) -> Circuit | None:
    if breaker is None:
        return None
    now = time.time()
    turns = tuple((now - age, state.value) for age, state in breaker.ages())
    transitions = tuple(breaker.turns.count(CircuitState(each)) for each in STATES)
    return Circuit(breaker.state.value, transitions, turns)


def _history(
    metrics: CacheMetrics | None, runs: PipelineMetrics | None, label: str, window: float
) -> dict[str, list[int]]:
    return {
        **{name: [0] * SLICES for name in SERIES},
        **({} if metrics is None else metrics.history(window)),
        **({} if runs is None else runs.history(label, window)),
    }


def read(subjects: Iterable[Subject], *, detailed: bool = False) -> list[State]:
    """The states of all *subjects*, one per label, sorted by it.

    One whose metrics cannot be read is left out, and that is logged once. Cache metrics that several share count once,
    under the label that comes first.
    """
    found, counted = [], set[int]()
    for subject in subjects:
        try:
            state = subject.state(detailed=detailed)
        except Exception:  # noqa: BLE001 - one that is broken must not take the others with it; it is logged
            _grumble(subject.label)
            continue
        if subject.metrics is not None and id(subject.metrics) in counted:
            state = replace(state, cache=None, ttl=None)
        counted.add(id(subject.metrics))
        found.append(state)
    return add_up(found)


_grumbled: set[str] = set()


def _grumble(label: str) -> None:
    if label not in _grumbled:
        _grumbled.add(label)
        log().exception("the metrics of %s cannot be read; this is logged once", label)
