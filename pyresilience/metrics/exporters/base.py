"""What every exporter offers."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ..._forks import renew_in_child
from ..cache_metrics import CacheMetrics
from ..roster import roster
from ..snapshot import MetricSnapshot
from ..state import State, add_up
from ..subject import Subject, read


class MetricsExporter(ABC):
    """Takes what the metrics of functions say to somewhere else.

    Functions may be registered before and after `start()`, which may be called again after `stop()`; doing any of it
    twice is doing it once. To write one, take `states()` and hand them on; see `families.measure`.
    """

    def __init__(self) -> None:
        self._subjects: dict[int, Subject] = {}
        self._whole = False
        self._given: dict[str, CacheMetrics | MetricSnapshot] = {}
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own."""
        self._lock = threading.RLock()

    def register_function(self, func: Callable[..., Any]) -> None:
        """Export the metrics of *func* from now on.

        Raises:
            ValueError: It has none: it was not decorated with `enable_metrics=True`.
        """
        subject = Subject(func)
        subject.check()
        with self._lock:
            self._subjects.setdefault(id(subject.function), subject)

    def register_all(self) -> None:
        """Export every function of this process that has metrics, those that are decorated later as well."""
        self._whole = True

    def export_metrics(self, func_name: str, metrics: CacheMetrics | MetricSnapshot) -> None:
        """Export *metrics* under *func_name*: those of a cache of your own, or a snapshot from elsewhere.

        Raises:
            TypeError: It is neither metrics nor a snapshot.
        """
        if not isinstance(metrics, (CacheMetrics, MetricSnapshot)):
            raise TypeError(f"metrics must be a CacheMetrics or a MetricSnapshot, got {metrics!r}")
        with self._lock:
            self._given[str(func_name)] = metrics

    @abstractmethod
    def start(self) -> None:
        """Begin to export."""

    @abstractmethod
    def stop(self) -> None:
        """Export what there is, and end."""

    def states(self, *, detailed: bool = False) -> list[State]:
        """What is exported, one state per label, sorted; *detailed*: with windows and history."""
        with self._lock:
            subjects, given = list(self._subjects.values()), list(self._given.items())
        if self._whole:
            known = {id(subject.function) for subject in subjects}
            subjects += [subject for subject in roster.subjects() if id(subject.function) not in known]
        found = read(subjects, detailed=detailed)
        found += [
            State(name, cache=each if isinstance(each, MetricSnapshot) else each.get_stats()) for name, each in given
        ]
        return add_up(found)
