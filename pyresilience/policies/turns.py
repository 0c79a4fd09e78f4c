"""When a circuit became what. Pure."""

from __future__ import annotations

from collections import Counter, deque

from .circuit import CircuitState

KEPT = 100
"""How many turns are remembered: the latest."""


class Turns:
    """The transitions of one circuit: how many of each kind, and when the latest were."""

    __slots__ = ("_counts", "_latest")

    def __init__(self) -> None:
        self._counts: Counter[CircuitState] = Counter()
        self._latest: deque[tuple[float, CircuitState]] = deque(maxlen=KEPT)

    def record(self, state: CircuitState, now: float) -> None:
        """The circuit became *state*."""
        self._counts[state] += 1
        self._latest.append((now, state))

    def count(self, state: CircuitState) -> int:
        """How often it has become *state*."""
        return self._counts[state]

    def ages(self, now: float) -> list[tuple[float, CircuitState]]:
        """How many seconds ago it became what, the oldest first."""
        return [(now - when, state) for when, state in list(self._latest)]
