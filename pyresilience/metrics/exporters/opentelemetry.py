"""For OpenTelemetry: instruments that are read when a reader of the application's collects."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..._forks import renew_in_child
from ..._log import log
from ..families import CATALOGUE, Metric, Point
from ..latencies import EDGES, Latencies
from .base import MetricsExporter
from .deltas import Deltas
from .durations import durations, thinned
from .labels import well_formed

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation

SCOPE = "pyresilience"
"""The name of the meter, if none is given."""
RECORDINGS = 10_000
"""Durations that are recorded in one histogram at one collection; of more, a sample."""
FRESH = 1.0
"""Seconds within which the instruments of one collection share one reading."""
BOUNDS = EDGES[::2]
"""Bounds of the histograms' buckets, in seconds."""


class OpenTelemetryExporter(MetricsExporter):
    """Tells the metrics to an OpenTelemetry meter; whatever readers and exporters the application has take them on.

    Counters and gauges are read when a reader collects. OpenTelemetry's histograms can only be told one duration at a
    time, so at a collection each is told those that were added, as our buckets know them. More than 10 000 of them are
    told as a sample in true proportions: then its quantiles hold, and the true counts are those of the counters.

    Args:
        meter: The meter to use; None: one named `pyresilience`.
        meter_provider: Where to get that; None: the application's, also if it is set later.

    Raises:
        ImportError: There is no package `opentelemetry-api`.
        TypeError: They are no meter and no provider.
        ValueError: Both are given.
    """

    def __init__(self, meter: Meter | None = None, meter_provider: MeterProvider | None = None) -> None:
        try:
            from opentelemetry import metrics
        except ImportError as error:
            raise ImportError(
                "OpenTelemetryExporter needs the OpenTelemetry API: pip install opentelemetry-api"
            ) from error
        if meter is not None and meter_provider is not None:
            raise ValueError("give a meter or a meter_provider, not both")
        if meter is not None and not isinstance(meter, metrics.Meter):
            raise TypeError(f"meter must be an opentelemetry.metrics.Meter, got {meter!r}")
        if meter_provider is not None and not isinstance(meter_provider, metrics.MeterProvider):
            raise TypeError(f"meter_provider must be an opentelemetry.metrics.MeterProvider, got {meter_provider!r}")
        self._meter = meter or (meter_provider.get_meter(SCOPE) if meter_provider else _desks.own_meter())
        super().__init__()

    def start(self) -> None:
        """Begin to tell; begun already: do nothing."""
        _desks.of(self._meter).join(self)

    def stop(self) -> None:
        """Tell nothing any more; the instruments stay, as the API has no way to remove them."""
        _desks.of(self._meter).leave(self)


class _Desk:
    """The instruments of one meter, which are made once, and the exporters that are started there."""

    def __init__(self, meter: Meter) -> None:
        self.renew()
        renew_in_child(self)
        self._histograms = {metric: _histogram(meter, metric) for metric in CATALOGUE if metric.kind == "histogram"}
        make = {"counter": meter.create_observable_counter, "gauge": meter.create_observable_gauge}
        for metric in CATALOGUE:
            if metric.kind != "histogram":

                def observe(_: CallbackOptions, metric: Metric = metric) -> Iterable[Observation]:
                    return self._observe(metric)

                make[metric.kind](metric.dotted, [observe], metric.unit, metric.help)

    def renew(self) -> None:
        """A forked child counts its own, from nothing."""
        self._lock = threading.RLock()
        self._exporters: list[OpenTelemetryExporter] = []
        self._deltas = Deltas()
        self._sums: dict[tuple[Metric, tuple[str, ...]], float] = {}
        self._begin({})

    def join(self, exporter: OpenTelemetryExporter) -> None:
        with self._lock:
            if exporter not in self._exporters:
                self._exporters.append(exporter)

    def leave(self, exporter: OpenTelemetryExporter) -> None:
        with self._lock:
            if exporter in self._exporters:
                self._exporters.remove(exporter)
                self._begin({})

    def _begin(self, reading: dict[Metric, list[Observation]]) -> None:
        """What the instruments are told until one of them asks again."""
        self._reading, self._read_at = reading, time.monotonic() if reading else -FRESH
        self._asked: set[Metric] = set()

    def _observe(self, metric: Metric) -> list[Observation]:
        """All that one collection asks for comes from one reading."""
        with self._lock:
            if not self._exporters:
                return []
            if metric in self._asked or time.monotonic() - self._read_at >= FRESH:
                self._begin(self._read())
            self._asked.add(metric)
            return self._reading.get(metric, [])

    def _read(self) -> dict[Metric, list[Observation]]:
        from opentelemetry.metrics import Observation

        reading: dict[Metric, list[Observation]] = {}
        for metric, points in self._deltas.gains_of(self._exporters):
            if metric.kind == "histogram":
                self._record(metric, points)
                continue
            for point in points:
                assert not isinstance(point.value, Latencies)
                value = point.value
                if metric.kind == "counter":
                    value = self._sums[metric, point.labels] = self._sums.get((metric, point.labels), 0) + value
                reading.setdefault(metric, []).append(Observation(value, _attributes(metric, point)))
        return reading

    def _record(self, metric: Metric, points: list[Point]) -> None:
        found = [
            (point, point.value) for point in points if isinstance(point.value, Latencies) and any(point.value.counts)
        ]
        for point, value in found:
            attributes = _attributes(metric, point)
            for seconds, count in thinned(durations(value), RECORDINGS // len(found)):
                for _ in range(count):
                    self._histograms[metric].record(seconds, attributes)


def _attributes(metric: Metric, point: Point) -> dict[str, str]:
    return dict(zip(metric.labels, map(well_formed, point.labels), strict=True))


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    try:
        return meter.create_histogram(
            metric.dotted, metric.unit, metric.help, explicit_bucket_boundaries_advisory=BOUNDS
        )
    except TypeError:
        log().warning(
            "%s gets the buckets of milliseconds, not of seconds: this meter takes no bounds; "
            "pip install --upgrade opentelemetry-api",
            metric.dotted,
        )
        return meter.create_histogram(metric.dotted, metric.unit, metric.help)


class _Desks:
    """The desk of each meter, as long as there is that meter."""

    def __init__(self) -> None:
        self._desks: weakref.WeakKeyDictionary[Meter, _Desk] = weakref.WeakKeyDictionary()
        self._own: Meter | None = None
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child has a lock of its own."""
        self._lock = threading.RLock()

    def of(self, meter: Meter) -> _Desk:
        with self._lock:
            if meter not in self._desks:
                self._desks[meter] = _Desk(meter)
            return self._desks[meter]

    def own_meter(self) -> Meter:
        """The application's meter for this library: always the same, as it may stand for one that is set later."""
        from opentelemetry.metrics import get_meter

        with self._lock:
            self._own = self._own or get_meter(SCOPE)
            return self._own


_desks = _Desks()
