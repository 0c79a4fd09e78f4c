"""One call that is recorded by hand: sampled as a whole, whatever facts come in whatever order."""

from __future__ import annotations

from contextvars import ContextVar
from math import isfinite

from .counts import HITS, LATENCY, MISSES

MANY = 8
"""Metrics whose calls one thread or task can record in turns."""


class Recording:
    """A call, and what was said of it so far.

    Args:
        owner: The metrics that record it.
        drawn: Whether it is one of the sampled calls.
    """

    __slots__ = ("drawn", "facts", "owner")

    def __init__(self, owner: object, *, drawn: bool) -> None:
        self.owner = owner
        self.drawn = drawn
        self.facts: set[int] = set()

    def is_done_with(self, what: int) -> bool:
        """Whether *what* cannot belong to it, and so is said of another call."""
        decided = HITS in self.facts or MISSES in self.facts
        return what in self.facts or (decided and (what in (HITS, MISSES) or LATENCY in self.facts))


_current: ContextVar[tuple[Recording, ...]] = ContextVar("pyresilience_recordings", default=())
"""The calls being recorded in this thread or task, one of each metrics, the latest first."""


def recording_of(owner: object) -> Recording | None:
    """The call of these metrics that is being recorded here."""
    for each in _current.get():
        if each.owner is owner:
            return each
    return None


def begin(call: Recording) -> tuple[Recording, ...]:
    """From now on *call* is being recorded here; what was before can be brought back by `end`."""
    before = _current.get()
    others = [each for each in before if each.owner is not call.owner]
    _current.set((call, *others[: MANY - 1]))
    return before


def end(before: tuple[Recording, ...]) -> None:
    """Go on with what was being recorded here *before*."""
    _current.set(before)


def checked_latency(seconds: float) -> float:
    """*seconds*, if it is a duration.

    Raises:
        ValueError: It is negative or not finite.
    """
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"a latency must be a finite number of seconds >= 0, got {seconds!r}")
    return seconds
