"""The metrics for the package `prometheus_client`, which is loaded when the first family is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..families import CATALOGUE, Metric
from ..state import State
from .prometheus_text import UNITS, families, family

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family


class StatesCollector:
    """What a registry of the client library can collect from.

    Args:
        states: Gives the states of now.
    """

    def __init__(self, states: Callable[[], Iterable[State]]) -> None:
        self._states = states

    def describe(self) -> Iterator[Family]:
        """The families there may be, so that the registry can refuse others of the same name."""
        return map(_family, CATALOGUE)

    def collect(self) -> Iterator[Family]:
        """The families there are now."""
        for metric, samples in families(self._states()):
            found = _family(metric)
            for sample in samples:
                found.add_sample(*sample)
            yield found


class Everything:
    """A registry's families and a collector's.

    Args:
        registry: The registry; None: the collector's alone.
        collector: The collector, if the registry does not have it.
    """

    def __init__(self, registry: CollectorRegistry | None, collector: StatesCollector | None) -> None:
        self._sources: list[Any] = [source for source in (registry, collector) if source is not None]

    def collect(self) -> Iterator[Family]:
        """The families there are now."""
        for source in self._sources:
            yield from source.collect()


def is_installed() -> bool:
    """Whether there is a client library."""
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        return False
    return True


def written(source: Everything, *, openmetrics: bool) -> bytes:
    """The text of *source*, in the hand of the client library."""
    from prometheus_client import exposition
    from prometheus_client.openmetrics import exposition as exact

    write: Callable[[Any], bytes] = exact.generate_latest if openmetrics else exposition.generate_latest
    return write(source)


def _family(metric: Metric) -> Family:
    from prometheus_client.core import Metric as Family

    return Family(family(metric), metric.help, metric.kind, UNITS.get(metric.unit, ""))
