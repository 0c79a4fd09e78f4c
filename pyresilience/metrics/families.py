"""The catalogue of metrics, and what they say of the functions: what every exporter exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .latencies import Latencies
from .run_metrics import OUTCOMES, STAGES
from .state import STATES, State, add_up

_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One family.

    Args:
        key: Its name without the library's, dotted.
        kind: `counter`, `gauge` or `histogram`.
        help: What it is, in one line.
        labels: The names of its labels; the first is always `function`.
        unit: What it is measured in, as UCUM writes it: `s`, `By`, or nothing for plain numbers.
    """

    key: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ("function",)
    unit: str = ""

    @property
    def dotted(self) -> str:
        """The name as OpenTelemetry, StatsD and CloudWatch know it: `pyresilience.cache.hits`."""
        return f"pyresilience.{self.key}"

    @property
    def prometheus(self) -> str:
        """The name as Prometheus knows it: `pyresilience_cache_hits_total`."""
        name = self.dotted.replace(".", "_") + _SUFFIXES.get(self.unit, "")
        return f"{name}_total" if self.kind == "counter" else name


class Point(NamedTuple):
    """One value: *labels* in the order of the metric's, and a number, or durations for a histogram."""

    labels: tuple[str, ...]
    value: float | Latencies


Reading = Callable[[State], Iterable[tuple[tuple[str, ...], Any]]]


def _cache(read: Callable[[Any], Any]) -> Reading:
    return lambda state: [] if state.cache is None else [((), read(state.cache))]


def _runs(read: Callable[[Any], Any]) -> Reading:
    return lambda state: [] if state.runs is None else [((), read(state.runs))]


def _limit(read: Callable[[Any], Any]) -> Reading:
    """Of what is unlimited, or unknown, there is no value."""
    return lambda state: [((), read(state.cache))] if state.cache is not None and read(state.cache) is not None else []


def _durations(state: State) -> Iterable[tuple[tuple[str, ...], Any]]:
    if state.cache is None:
        return []
    return [(("hit",), state.cache.hit_latency), (("miss",), state.cache.load_latency)]


def _evictions(state: State) -> Iterable[tuple[tuple[str, ...], Any]]:
    gone = state.cache and state.cache.evictions
    return [((cause,), getattr(gone, cause)) for cause in ("size", "expired", "invalidated")] if gone else []


def _outcomes(state: State) -> Iterable[tuple[tuple[str, ...], Any]]:
    return [((name,), getattr(state.runs, name)) for name in OUTCOMES] if state.runs else []


def _rejections(state: State) -> Iterable[tuple[tuple[str, ...], Any]]:
    return [((stage,), count) for stage, count in zip(STAGES, state.runs.rejections, strict=True)] if state.runs else []


def _circuit(state: State) -> Iterable[tuple[tuple[str, ...], Any]]:
    return [((each,), int(each == state.circuit.state)) for each in STATES] if state.circuit else []


def _transitions(state: State) -> Iterable[tuple[tuple[str, ...], Any]]:
    return zip(((each,) for each in STATES), state.circuit.transitions, strict=True) if state.circuit else []


_READINGS: dict[Metric, Reading] = {
    Metric("cache.hits", "counter", "Calls answered without running the function."): _cache(lambda its: its.hits),
    Metric("cache.misses", "counter", "Calls that found nothing usable in the cache."): _cache(lambda its: its.misses),
    Metric("cache.coalesced", "counter", "Hits that waited for another caller to compute."): _cache(
        lambda its: its.coalesced
    ),
    Metric("cache.stale_hits", "counter", "Misses that found an expired entry."): _cache(lambda its: its.stale_hits),
    Metric("cache.stale_served", "counter", "Calls that were answered with an expired entry."): _cache(
        lambda its: its.stale_served
    ),
    Metric("cache.recalculations", "counter", "Runs of the function for the cache."): _cache(
        lambda its: its.recalculations
    ),
    Metric("cache.wait_timeouts", "counter", "Calls that waited for another caller as long as they may."): _cache(
        lambda its: its.wait_timeouts
    ),
    Metric("cache.size_limit_rejections", "counter", "Results that were too large to be kept."): _cache(
        lambda its: its.size_limit_rejections
    ),
    Metric("cache.reload_failures", "counter", "Background reloads that brought nothing better."): _cache(
        lambda its: its.reload_failures
    ),
    Metric("cache.evictions", "counter", "Entries that left, by cause.", ("function", "cause")): _evictions,
    Metric("cache.entries", "gauge", "Entries in the cache."): _cache(lambda its: its.entry_count),
    Metric("cache.max_entries", "gauge", "Entries the cache may hold."): _limit(lambda its: its.max_entries),
    Metric("cache.size", "gauge", "Estimated bytes of the entries, or what their weigher says.", unit="By"): _cache(
        lambda its: its.total_size_bytes
    ),
    Metric("cache.max_weight", "gauge", "What the entries may weigh, in the unit of their size."): _limit(
        lambda its: its.max_weight
    ),
    Metric("cache.reloading", "gauge", "Entries that are being reloaded in the background."): _cache(
        lambda its: its.reloading
    ),
    Metric("cache.hit_ratio", "gauge", "Hits per call (0..1) since the start."): _cache(lambda its: its.hit_ratio),
    Metric(
        "cache.operation.duration", "histogram", "Duration of calls to the cache.", ("function", "result"), "s"
    ): _durations,
    Metric("calls", "counter", "Runs of the pipeline, by how they ended.", ("function", "outcome")): _outcomes,
    Metric("call.duration", "histogram", "Duration of the pipeline's runs.", unit="s"): _runs(lambda its: its.latency),
    Metric("retries", "counter", "Attempts that followed a failed one."): _runs(lambda its: its.retries),
    Metric("timeouts", "counter", "Limits that passed."): _runs(lambda its: its.timeouts),
    Metric("fallbacks", "counter", "Stand-ins that were returned."): _runs(lambda its: its.fallbacks),
    Metric("rejections", "counter", "Calls that a stage refused.", ("function", "stage")): _rejections,
    Metric("circuit.state", "gauge", "1 for the state the circuit is in.", ("function", "state")): _circuit,
    Metric("circuit.transitions", "counter", "Changes of the circuit's state.", ("function", "state")): _transitions,
    Metric("listener_errors", "counter", "Events on which a listener raised."): lambda state: [
        ((), state.listener_errors)
    ],
}

CATALOGUE: tuple[Metric, ...] = tuple(_READINGS)
"""Every metric there is."""


def measure(states: Iterable[State]) -> list[tuple[Metric, list[Point]]]:
    """Every metric of the catalogue with its values; states of one label count as one."""
    states = add_up(states)
    return [
        (metric, [Point((state.function, *labels), value) for state in states for labels, value in read(state)])
        for metric, read in _READINGS.items()
    ]
