"""What this process goes on from: counts of earlier ones that were given to its metrics."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace

from ..._forks import renew_in_child
from ..cache_metrics import CacheMetrics
from ..pipeline_metrics import PipelineMetrics
from ..state import State
from ..subject import Subject
from .base import MetricsExporter


class Restored:
    """Gives metrics their earlier counts once, whoever asks, and remembers them.

    Who sends differences must know them: an earlier process has sent them already. `lock` is held while counts are
    given, and by those who read metrics to send differences, so that none is taken for a new one.
    """

    def __init__(self) -> None:
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """The metrics of a forked child begin at nothing."""
        self.lock = threading.RLock()
        self._caches: weakref.WeakKeyDictionary[CacheMetrics, State | None] = weakref.WeakKeyDictionary()
        self._runs: weakref.WeakKeyDictionary[PipelineMetrics, dict[str, State | None]] = weakref.WeakKeyDictionary()

    def settle(self, subject: Subject, earlier: State | None) -> None:
        """Give *subject* what was counted *earlier*; what it has got before, or gone without, it does not get now."""
        with self.lock:
            self.settle_cache(subject.metrics, earlier)
            runs = subject.runs
            if runs is None or subject.label in (settled := self._runs.setdefault(runs, {})):
                return
            settled[subject.label] = None
            if earlier is not None and earlier.runs is not None:
                runs.restore(subject.label, earlier.runs)
                settled[subject.label] = State(subject.label, runs=earlier.runs)

    def settle_cache(self, metrics: CacheMetrics | None, earlier: State | None) -> None:
        """The same for the metrics of a cache, whatever they are called."""
        with self.lock:
            if metrics is None or metrics in self._caches:
                return
            self._caches[metrics] = None
            if earlier is not None and earlier.cache is not None:
                metrics.restore(earlier.cache)
                self._caches[metrics] = State(earlier.function, cache=earlier.cache)

    def of(self, exporter: MetricsExporter) -> Iterator[tuple[object, State]]:
        """What was given to the metrics that are exported: to whom, and what, by the label it is exported under."""
        with exporter._lock:
            subjects, given = list(exporter._subjects.values()), list(exporter._given.items())
        shared = {subject.metrics: subject.label for subject in reversed(subjects)}  # the first label counts
        for owner, label in [*shared.items(), *((owner, label) for label, owner in given)]:
            state = self._caches.get(owner) if isinstance(owner, CacheMetrics) else None
            if state is not None:
                yield owner, replace(state, function=label)
        for subject in subjects:
            runs = subject.runs
            state = self._runs.get(runs, {}).get(subject.label) if runs is not None else None
            if state is not None:
                yield runs, state


restored = Restored()
"""The one of this process."""
