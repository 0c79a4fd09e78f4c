"""What is measured: a decorated function, or a cache's metrics under a name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import MethodType
from typing import TYPE_CHECKING, Any

from .._functions import label_of
from .._log import log
from ..policies.circuit import CircuitState
from .cache_metrics import CacheMetrics
from .pipeline_metrics import PipelineMetrics
from .run_metrics import RunMetrics
from .state import SERIES, STATES, Circuit, State, add_up
from .windows import SLICES

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..stages.circuit_breaker import CircuitBreaker


class Subject:
    """Something that may have metrics.

    Args:
        function: A decorated function. What it is decorated with now is read each time.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function: Any = function.__func__ if isinstance(function, MethodType) else function
        self.label = label_of(getattr(self.function, "__wrapped__", self.function))

    @property
    def is_measured(self) -> bool:
        """Whether it has metrics."""
        return self.metrics is not None or self.runs is not None

    def check(self) -> None:
        """Refuse what has none.

        Raises:
            ValueError: It says what to do.
        """
        if not self.is_measured:
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

    def state(self, *, detailed: bool = False, cache: bool = True, runs: bool = True) -> State:
        """All there is to know now.

        Args:
            detailed: With its windows and its history.
            cache: With the metrics of its cache.
            runs: With the metrics of its pipeline.
        """
        hits, ends = self.metrics if cache else None, self.runs.of(self.label) if runs and self.runs else None
        control, pipeline = getattr(self.function, "cache", None), self._pipeline
        sizes = sorted({size for each in (hits, ends) if each for size in each.window_sizes}) if detailed else []
        return State(
            function=self.label,
            cache=None if hits is None else hits.get_stats(),
            ttl=None if hits is None or control is None else control.ttl,
            runs=None if ends is None else ends.get_stats(),
            circuit=_circuit(getattr(self.function, "circuit_breaker", None)),
            listener_errors=pipeline.listener_errors_of(self.label) if pipeline and runs else 0,
            recent={
                size: (
                    hits.get_stats(size) if hits and _reaches(hits, size) else None,
                    ends.get_stats(size) if ends and _reaches(ends, size) else None,
                )
                for size in sizes
            },
            history={size: _history([hits, ends], size) for size in sizes},
        )


def _reaches(source: CacheMetrics | RunMetrics, size: float) -> bool:
    return size <= max(source.window_sizes, default=0.0)


def _history(sources: Iterable[CacheMetrics | RunMetrics | None], size: float) -> dict[str, list[int]]:
    series = {name: [0] * SLICES for name in SERIES}
    for source in sources:
        if source is not None and _reaches(source, size):
            series |= source.history(size)
    return series


def _circuit(breaker: CircuitBreaker | None) -> Circuit | None:
    if breaker is None:
        return None
    now = time.time()
    turns = tuple((now - age, state.value) for age, state in breaker.ages())
    transitions = tuple(breaker.turns.count(CircuitState(each)) for each in STATES)
    return Circuit(breaker.state.value, transitions, turns)


def read(subjects: Iterable[Subject], *, detailed: bool = False) -> list[State]:
    """The states of all *subjects*, one per label, sorted by it.

    One whose metrics cannot be read is left out, and that is logged once. Metrics that several share count once, under
    the label that comes first.
    """
    found, counted = [], set[object]()
    for subject in subjects:
        cache, runs = id(subject.metrics), (id(subject.runs), subject.label)
        try:
            state = subject.state(detailed=detailed, cache=cache not in counted, runs=runs not in counted)
        except Exception:  # noqa: BLE001 - one that is broken must not take the others with it; it is logged
            _grumble(subject.label)
            continue
        counted |= {cache, runs}
        found.append(state)
    return add_up(found)


_grumbled: set[str] = set()


def _grumble(label: str) -> None:
    if label not in _grumbled:
        _grumbled.add(label)
        log().exception("the metrics of %s cannot be read; this is logged once", label)
