"""The metrics of pipelines, from their events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from .._forks import renew_in_child
from .._functions import label_of
from .._typing import Duration
from ..clock import Clock
from ..events import ResilienceEvent
from .run_metrics import COUNTED, ENDS, REFUSALS, RunMetrics, RunSnapshot


class PipelineMetrics:
    """A listener that counts, per function, how runs ended, how long they took, and what the stages did.

    `CacheConfig(enable_metrics=True)` brings one; give one in `listeners=` to a pipeline without a cache. What it
    counts is told by the function's label, its module and qualified name: no argument, no text of an error.

    Args:
        window_sizes: The windows that can be asked for; None: a minute, an hour and a day.
        clock: Where the time of the windows is read.

    Raises:
        TypeError: A window is no duration.
        ValueError: A window is not above 0.
    """

    wants = frozenset({*ENDS, *COUNTED, *REFUSALS})
    """The events that it needs to hear."""

    def __init__(self, window_sizes: Sequence[Duration] | None = None, *, clock: Clock | None = None) -> None:
        self._window_sizes = window_sizes
        self._clock = clock
        self._functions: dict[str, RunMetrics] = {}
        self._unheard = RunMetrics(window_sizes, clock=clock)
        """Stands for a function that was not heard of."""
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own; the counts begin anew by themselves."""
        self._lock = threading.RLock()

    def __call__(self, event: ResilienceEvent) -> None:
        """Count *event*."""
        if event.event_type in self.wants:
            label = getattr(event.function_name, "label", event.function_name)
            (self._functions.get(label) or self._add(label)).count(event)

    @property
    def functions(self) -> list[str]:
        """The labels of the functions that were heard of."""
        return sorted(self._functions)

    def of(self, function: str) -> RunMetrics:
        """The runs of the function of that label."""
        return self._functions.get(function, self._unheard)

    def get_stats(self, function: Callable[..., Any] | str, window: Duration | None = None) -> RunSnapshot:
        """The runs of a function since the beginning, or in the last *window* seconds.

        Args:
            function: The decorated function, or its label: `module.qualified_name`.
            window: How far back; None: to the beginning.

        Raises:
            TypeError: *window* is no duration.
            ValueError: *window* is not above 0, or longer than the longest window.
        """
        label = function if isinstance(function, str) else label_of(getattr(function, "__wrapped__", function))
        return self.of(label).get_stats(window)

    def restore(self, function: str, runs: RunSnapshot) -> None:
        """Add the runs that an earlier process counted of the function of that label; its windows do not see them."""
        self._add(function).restore(runs)

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._functions.clear()

    def _add(self, label: str) -> RunMetrics:
        with self._lock:
            if label not in self._functions:
                self._functions[label] = RunMetrics(self._window_sizes, clock=self._clock)
            return self._functions[label]
