"""For your tests: time under your control, a record of events, and retries that do not wait."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Self

from . import _async
from ._settings import seconds as _seconds
from ._testing_mode import mode
from ._typing import Duration
from .events import EventType, ResilienceEvent


class FakeClock:
    """A clock that stands still until told otherwise. Sleeping on it takes no time: it moves the clock on.

    Args:
        start: The time it shows first, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._alarms: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self.sleeps: list[float] = []
        """How long each sleep was, in order."""

    def monotonic(self) -> float:
        """The time it shows."""
        return self._now

    def advance(self, duration: Duration) -> None:
        """Move on, ringing every alarm on the way at its time.

        Raises:
            ValueError: *duration* is negative.
        """
        length = _seconds(duration)
        if not length >= 0:
            raise ValueError(f"a clock does not go back: got {duration!r}")
        until = self._now + length
        while (ring := self._next_alarm(until)) is not None:
            ring()
        self._now = max(self._now, until)

    def _next_alarm(self, until: float) -> Callable[[], object] | None:
        with self._lock:
            if not self._alarms or self._alarms[0][0] > until:
                return None
            at, _, ring = heapq.heappop(self._alarms)
            self._now = max(self._now, at)
            return ring

    def sleep(self, seconds: float, /) -> None:
        """Be *seconds* later, at once."""
        self.sleeps.append(seconds)
        self.advance(max(0.0, seconds))

    async def sleep_async(self, seconds: float, /) -> None:
        """Be *seconds* later, once the other tasks have had their turn."""
        self.sleep(seconds)
        await _async.pause(0)

    def alarm(self, seconds: float, ring: Callable[[], object], /) -> Callable[[], None]:
        """Call *ring* once the clock has moved on by *seconds*; returns what cancels it."""
        if seconds <= 0:
            ring()
        entry = (self._now + seconds, next(self._numbers), ring)
        with self._lock:
            if seconds > 0:
                heapq.heappush(self._alarms, entry)

        def cancel() -> None:
            with self._lock:
                if entry in self._alarms:
                    self._alarms.remove(entry)
                    heapq.heapify(self._alarms)

        return cancel


class EventRecorder:
    """A listener that keeps every event, for assertions.

    >>> recorder = EventRecorder()
    >>> recorder.types
    []
    """

    def __init__(self) -> None:
        self.events: list[ResilienceEvent] = []
        """Every event, in order."""

    def __call__(self, event: ResilienceEvent) -> None:
        """Keep *event*."""
        self.events.append(event)

    def __iter__(self) -> Iterator[ResilienceEvent]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    @property
    def types(self) -> list[EventType]:
        """What happened, in order."""
        return [event.event_type for event in self.events]

    def of(self, *types: EventType) -> list[ResilienceEvent]:
        """The events of these types, in order."""
        return [event for event in self.events if event.event_type in types]

    def count(self, event_type: EventType) -> int:
        """How often *event_type* happened."""
        return len(self.of(event_type))

    def clear(self) -> None:
        """Forget what was recorded."""
        self.events.clear()


class set_testing:  # noqa: N801 - called like a function, used like one or in a `with` statement
    """Make every pipeline of the process fit for tests: nothing sleeps, and attempts are bounded.

    Use it as a call, `set_testing(True)` and later `set_testing(False)`, or as a context manager that restores
    what was in force before.

    Args:
        testing: Whether to test, or to run as configured.
        attempts: At most so many attempts of a call.

    Raises:
        ValueError: *attempts* is below 1.
    """

    def __init__(self, testing: bool = True, *, attempts: int = 3) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be >= 1, got {attempts!r}")
        self._before = mode.attempts
        mode.attempts = attempts if testing else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        mode.attempts = self._before
