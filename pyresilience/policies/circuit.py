"""The circuit: closed, open, half-open. Not thread-safe; whoever holds it holds a lock.

The states are those of Michael Nygard, "Release It!", 2007; windows over calls and time as in resilience4j.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias
from weakref import ref

from .window import CountWindow, TimeWindow, Window


class CircuitState(StrEnum):
    """What a circuit breaker does with the next call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When to open, when to try again, when to close. Durations in seconds."""

    failure_threshold: int
    recovery_timeout: float
    success_threshold: int
    probes: int
    window_calls: int
    window_seconds: float
    minimum_calls: int
    failure_rate: float
    slow_rate: float
    slow: bool

    @property
    def kind(self) -> str:
        """What is counted: failures in a row, or rates over calls or time."""
        return "time" if self.window_seconds else "calls" if self.window_calls else "consecutive"

    def window(self) -> Window | None:
        """A new window of this kind; None: failures in a row are counted."""
        if self.window_seconds:
            return TimeWindow(self.window_seconds)
        return CountWindow(self.window_calls) if self.window_calls else None


class Probe:
    """The permit of a call admitted while half-open. It counts for as long as its holder lives."""

    __slots__ = ("__weakref__", "generation", "home")

    def __init__(self, generation: int, home: Any) -> None:
        self.generation = generation
        self.home = home


Permit: TypeAlias = "int | Probe"
"""The generation a call was admitted in: a result from another one changes nothing."""


class Circuit:
    """Counts outcomes, and says whether a call may go on."""

    __slots__ = (
        "_opened_at",
        "_probes",
        "_rules",
        "_successes",
        "_vanished",
        "_window",
        "calm",
        "closed",
        "failures",
        "forced",
        "generation",
        "state",
    )

    def __init__(self, rules: CircuitRules, vanished: Callable[[Any], bool] = lambda home: False) -> None:
        self._rules = rules
        self._vanished = vanished
        self._opened_at = 0.0
        self._probes: list[ref[Probe]] = []
        self.generation = 0
        self.forced = False
        self._become(CircuitState.CLOSED)

    def _become(self, state: CircuitState) -> None:
        self.state = state
        self.closed = state is CircuitState.CLOSED
        self.generation += 1
        self._probes.clear()
        self._successes = 0
        if self.closed:
            self._window = self._rules.window()
            self.failures = 0
            self.forced = False
        self.calm = self.closed and self._window is None and not self._rules.slow

    def seen(self, now: float) -> CircuitState:
        """The state a caller would meet: an open circuit whose time is up is half-open."""
        half_open = self.state is CircuitState.OPEN and not self.retry_after(now) and not self.forced
        return CircuitState.HALF_OPEN if half_open else self.state

    def retry_after(self, now: float) -> float | None:
        """Seconds until a call may be let through; None: nobody knows."""
        if self.forced or self.state is not CircuitState.OPEN:
            return None
        return max(0.0, self._opened_at + self._rules.recovery_timeout - now)

    def admit(self, now: float, home: Any = None) -> Permit | None:
        """The permit to go on; None: refused."""
        if self.closed:
            return self.generation
        if self.forced or self.retry_after(now):
            return None
        if self.state is CircuitState.OPEN:
            self._become(CircuitState.HALF_OPEN)
        self._probes = [probe for probe in self._probes if self._lives(probe())]
        if len(self._probes) >= self._rules.probes:
            return None
        probe = Probe(self.generation, home)
        self._probes.append(ref(probe))
        return probe

    def _lives(self, probe: Probe | None) -> bool:
        return probe is not None and not self._vanished(probe.home)

    def _current(self, permit: Permit) -> bool:
        """Take the permit back; False: it is of another generation, so its outcome says nothing about this one."""
        if isinstance(permit, int):
            return permit == self.generation and self.closed
        if permit.generation != self.generation:
            return False
        self._probes = [probe for probe in self._probes if probe() is not permit]
        return True

    def recall(self) -> None:
        """No probe is under way any more."""
        self._probes.clear()

    def forget(self, permit: Permit) -> None:
        """The call ended without a verdict: refused further in, cancelled, or failed in a way to ignore."""
        self._current(permit)

    def succeed(self, permit: Permit, now: float, *, slow: bool = False) -> None:
        """The call went well, if perhaps slowly."""
        if not self._current(permit):
            return
        if self.state is CircuitState.HALF_OPEN:
            self._successes += 1
            if slow:
                self.open(now)
            elif self._successes >= self._rules.success_threshold:
                self.close()
            return
        if self._window is None:
            self.failures = 0
            self.calm = not self._rules.slow
        self._count(now, failed=False, slow=slow)

    def fail(self, permit: Permit, now: float, *, slow: bool = False) -> None:
        """The call failed in a way that counts."""
        if not self._current(permit):
            return
        if self.state is CircuitState.HALF_OPEN:
            self.open(now)
            return
        self.calm = False
        if self._window is None:
            self.failures += 1
        self._count(now, failed=True, slow=slow)

    def _count(self, now: float, *, failed: bool, slow: bool) -> None:
        rules, window = self._rules, self._window
        if window is None:
            if self.failures >= rules.failure_threshold:
                self.open(now)
            return
        window.add(now, failed=failed, slow=slow)
        self.failures = window.failures
        if window.calls < rules.minimum_calls:
            return
        slow_rate = window.slow / window.calls
        if window.failures / window.calls >= rules.failure_rate or (rules.slow and slow_rate >= rules.slow_rate):
            self.open(now)

    def rates(self, now: float) -> tuple[int, int, int]:
        """Calls, failures and slow calls in view."""
        if self._window is None:
            return self.failures, self.failures, 0
        self._window.look(now)
        return self._window.calls, self._window.failures, self._window.slow

    def open(self, now: float, *, forced: bool = False) -> None:
        """Refuse calls; *forced*: until somebody closes it."""
        self._opened_at = now
        self._become(CircuitState.OPEN)
        self.forced = forced

    def close(self) -> None:
        """Let calls through and forget what was counted."""
        self._become(CircuitState.CLOSED)

    def adopt(self, other: Circuit) -> None:
        """Go on where *other* is, under our own rules, if both count the same kind of thing."""
        if other._rules.kind != self._rules.kind:
            return
        self._become(other.state)
        self._opened_at, self.forced = other._opened_at, other.forced
        self.failures = other.failures
        if other._window is not None and other._rules == self._rules:
            self._window = other._window
        self.calm = self.calm and not self.failures
