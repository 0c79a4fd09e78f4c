"""All that is known of one function at one moment, in a form that can be added up and sent elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

from . import counts, run_metrics
from .run_metrics import RunSnapshot
from .snapshot import MetricSnapshot

STATES = ("closed", "half_open", "open")
"""What a circuit may be, the worst last."""

SERIES = (*counts.SERIES, *run_metrics.SERIES)
"""What the page draws over time."""

Recent: TypeAlias = "dict[float, tuple[MetricSnapshot | None, RunSnapshot | None]]"
History: TypeAlias = "dict[float, dict[str, list[int]]]"


_UNKNOWN = (None, None)


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit breaker at one moment.

    Args:
        state: `closed`, `open` or `half_open`.
        transitions: How often it has become each, in the order of `STATES`.
        turns: When it became what, in seconds since 1970, the oldest first; the latest only.
    """

    state: str
    transitions: tuple[int, ...] = (0,) * len(STATES)
    turns: tuple[tuple[float, str], ...] = ()

    def __add__(self, other: Circuit) -> Circuit:
        return Circuit(
            max(self.state, other.state, key=STATES.index),
            tuple(map(int.__add__, self.transitions, other.transitions)),
            tuple(sorted(self.turns + other.turns)),
        )


@dataclass(frozen=True, slots=True)
class State:
    """One function at one moment.

    Args:
        function: Its label: module and qualified name.
        cache: The metrics of its cache; None: it has none.
        ttl: Seconds its entries live, 0: for ever; None: unknown.
        runs: How its runs ended; None: nobody counts.
        circuit: Its circuit breaker; None: it has none.
        listener_errors: How often a listener of its pipeline has raised.
        recent: Per window in seconds, what `cache` and `runs` say of it alone.
        history: Per window in seconds and name of `SERIES`, the counts of each sixteenth, the oldest first.
    """

    function: str
    cache: MetricSnapshot | None = None
    ttl: float | None = None
    runs: RunSnapshot | None = None
    circuit: Circuit | None = None
    listener_errors: int = 0
    recent: Recent = field(default_factory=dict)
    history: History = field(default_factory=dict)

    def __add__(self, other: State) -> State:
        """Both together: the same function in two processes, or two functions of one label."""
        return State(
            function=self.function,
            cache=_both(self.cache, other.cache, MetricSnapshot.merge),
            ttl=_both(self.ttl, other.ttl, max),
            runs=_both(self.runs, other.runs, RunSnapshot.__add__),
            circuit=_both(self.circuit, other.circuit, Circuit.__add__),
            listener_errors=self.listener_errors + other.listener_errors,
            recent={
                window: (
                    _both(one[0], another[0], MetricSnapshot.merge),
                    _both(one[1], another[1], RunSnapshot.__add__),
                )
                for window in self.recent | other.recent
                for one, another in [(self.recent.get(window, _UNKNOWN), other.recent.get(window, _UNKNOWN))]
            },
            history=add_histories(self.history, other.history),
        )

    def within(self, window: float) -> State:
        """The same, of the last *window* seconds; with no counts, if that window was not looked at."""
        cache, runs = self.recent.get(window, (None, None))
        return replace(self, cache=cache, runs=runs)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes, made of what JSON knows."""
        return asdict(self)

    @staticmethod
    def from_json(data: Any) -> State:
        """The state that `to_json` was called of.

        Raises:
            ValueError: It is none; the message says what is wrong.
        """
        from .state_json import from_json

        return from_json(data)


def add_up(states: Iterable[State]) -> list[State]:
    """One state per label, sorted by it."""
    found: dict[str, State] = {}
    for state in states:
        found[state.function] = found[state.function] + state if state.function in found else state
    return [found[label] for label in sorted(found)]


def add_histories(one: History, other: History) -> History:
    """The sums of two histories; a window that only one has is as it is there."""
    return {window: _both(one.get(window), other.get(window), _add_series) for window in one | other}


def _add_series(one: dict[str, list[int]], other: dict[str, list[int]]) -> dict[str, list[int]]:
    return {name: list(map(int.__add__, one[name], other[name])) for name in SERIES}


def _both(one: Any, other: Any, add: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return add(one, other)
