"""What a stage is given when it is built: a clock, a die, and a mouth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import Any

from ._call import Call
from ._forks import renew_in_child
from ._log import log
from .clock import Clock, SystemClock
from .context import resilience_context
from .events import EventType, ResilienceEvent, ResilienceListener


def roll() -> float:
    """A random number from 0 to less than 1."""
    import random

    return random.random()


def _checked(listener: object) -> ResilienceListener:
    if not callable(listener):
        raise TypeError(f"a listener must be callable with one event, got {listener!r}")
    if iscoroutinefunction(listener) or iscoroutinefunction(getattr(listener, "__call__", None)):  # noqa: B004
        raise TypeError(f"a listener must be a plain function, got the async {listener!r}; start a task inside it")
    return listener


class Wiring:
    """The surroundings of one pipeline, shared by its stages."""

    __slots__ = ("__weakref__", "_audiences", "_muttered", "clock", "die", "errors", "heard", "listeners")

    def __init__(
        self,
        clock: Clock | None = None,
        listeners: Sequence[ResilienceListener] = (),
        die: Callable[[], float] | None = None,
    ) -> None:
        if isinstance(listeners, (str, bytes)) or not isinstance(listeners, Sequence):
            raise TypeError(f"listeners must be a sequence of callables, got {listeners!r}")
        if clock is not None and not isinstance(clock, Clock):
            raise TypeError(f"clock must offer monotonic, sleep, sleep_async and alarm, got {clock!r}")
        self.clock: Clock = clock or SystemClock()
        self.die = die or roll
        self.listeners = tuple(_checked(listener) for listener in listeners)
        self.heard = bool(self.listeners)
        """Whether anybody listens; if not, no event is made."""
        self.errors: Counter[str] = Counter()
        """How often a listener has raised, by the function's label."""
        self._audiences: dict[Callable[..., ResilienceEvent], tuple[tuple[int, ResilienceListener], ...]] = {}
        self._muttered: set[int] = set()
        renew_in_child(self)

    def renew(self) -> None:
        """A forked child counts its own."""
        self.errors.clear()

    def add(self, listener: ResilienceListener) -> None:
        """Let one more listen, before anything is composed."""
        self.listeners = (*self.listeners, _checked(listener))
        self.heard = True

    def audience(self, kind: Callable[..., ResilienceEvent]) -> tuple[tuple[int, ResilienceListener], ...]:
        """Who wants to hear events of *kind*, each with its place: all who do not say by `wants` what they want."""
        if not self.heard:
            return ()
        event_type = _type_of(kind)
        places = tuple(enumerate(self.listeners))
        if event_type is None:
            return places
        self._audiences[kind] = tuple(each for each in places if _wants(each[1], event_type))
        return self._audiences[kind]

    def tell(self, kind: Callable[..., ResilienceEvent], call: Call, **facts: Any) -> None:
        """Make an event of *kind* about *call* and hand it to every listener, in order."""
        audience = self._audiences.get(kind)
        if audience is None:
            audience = self.audience(kind)
        if not audience:
            return
        facts.setdefault("attempt", call.attempt)
        facts["context"] = _surroundings()
        event = kind(function_name=call.name, **facts)
        for place, listener in audience:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a listener must not be felt by the call
                self._mutter(place, event, error)

    def _mutter(self, place: int, event: ResilienceEvent, error: Exception) -> None:
        """Count a listener's failure, and log its first."""
        self.errors[getattr(event.function_name, "label", event.function_name)] += 1
        if place in self._muttered:
            return
        self._muttered.add(place)
        log().error(
            "listener %d of %s raised %s on %s; this is logged once, later failures are only counted",
            place,
            event.function_name,
            type(error).__name__,
            event.event_type.value,
            exc_info=(type(error), error, error.__traceback__) if _printable(error) else None,
        )


def _type_of(kind: Callable[..., ResilienceEvent]) -> EventType | None:
    """The type of all events of *kind*; None: each says its own."""
    kinds = [each.default for each in fields(kind) if each.name == "event_type"] if is_dataclass(kind) else []
    return kinds[0] if kinds and isinstance(kinds[0], EventType) else None


def _wants(listener: ResilienceListener, event_type: EventType) -> bool:
    """Whether *listener* is to hear of it; what has no `wants`, or one that is no plain collection, hears all."""
    wants = getattr(listener, "wants", None)
    return event_type in wants if isinstance(wants, (frozenset, set, tuple, list)) else True


def _surroundings() -> Mapping[str, Any] | None:
    """A read-only copy of what `resilience_context` holds; None if that is nothing, or no mapping."""
    context = resilience_context.get()
    try:
        return None if context is None else MappingProxyType(dict(context))
    except Exception:  # noqa: BLE001 - what a user has put there must not be felt by the call
        return None


def _printable(error: Exception) -> bool:
    try:
        str(error)
    except Exception:  # noqa: BLE001 - its own __str__ raises
        return False
    return True
