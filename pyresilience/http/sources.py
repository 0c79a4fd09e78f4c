"""Where the figures come from: functions of this process, or whatever tells their states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from .messages import Refused

if TYPE_CHECKING:
    from ..metrics.state import State
    from ..metrics.subject import Subject

States: TypeAlias = "Callable[..., Iterable[State]]"
"""Gives the states of now, each time it is called: for every request, perhaps in several threads.

If it has a parameter `detailed`, that says whether windows and history are wanted.
"""


class Removed(NamedTuple):
    """What clearing has removed: entries, the bytes they took, and from how many functions' caches."""

    entries: int
    freed: int
    caches: int


class Source(Protocol):
    """What an app shows, and may clear."""

    def states(self, *, detailed: bool = False) -> Sequence[State]:
        """One state per label, sorted by it; *detailed*: with windows and history."""
        ...

    def clear(self, label: str | None) -> Removed:
        """Empty the cache of the function of that label, or of all.

        Raises:
            Refused: There is none of that label, or the caches are not here.
        """
        ...


class Functions:
    """Functions of this process.

    Args:
        subjects: Gives them, each time it is called.
    """

    def __init__(self, subjects: Callable[[], Iterable[Subject]]) -> None:
        self._subjects = subjects

    def states(self, *, detailed: bool = False) -> Sequence[State]:
        """One state per label, sorted by it; metrics that several functions share count once."""
        from ..metrics.subject import read

        return read(self._subjects(), detailed=detailed)

    def clear(self, label: str | None) -> Removed:
        """Empty their caches; entries of other functions in a shared cache stay.

        Raises:
            Refused: There is no cached function of that label.
        """
        found = [subject for subject in self._subjects() if label in (None, subject.label) and _cache_of(subject)]
        if label is not None and not found:
            raise Refused(
                404, "UNKNOWN_FUNCTION", "no function of this name has a cache: see /cache/stats for those that do"
            )
        removed = [_clear(subject) for subject in found]
        return Removed(sum(entries for entries, _ in removed), sum(freed for _, freed in removed), len(found))


class Told:
    """States that somebody else tells: of other processes, for instance.

    Args:
        states: Gives them.
    """

    def __init__(self, states: States) -> None:
        self._states = states
        self._may_ask = _takes_detailed(states)

    def states(self, *, detailed: bool = False) -> Sequence[State]:
        """One state per label, sorted by it."""
        from ..metrics.state import add_up

        return add_up(self._states(detailed=detailed) if self._may_ask else self._states())

    def clear(self, label: str | None) -> Removed:
        """Refuse, as the caches are elsewhere.

        Raises:
            Refused: 501.
        """
        raise Refused(
            501,
            "NOT_HERE",
            "the caches are in other processes, whose figures this one only shows: clear them there, "
            "each process its own",
        )


def source_of(functions: Iterable[Callable[..., Any]] | None, states: States | None) -> Source:
    """The source that an app was asked to show.

    Raises:
        TypeError: *functions* is not an iterable of functions, or *states* is nothing to call.
        ValueError: A function has no metrics, or both are given.
    """
    if states is not None:
        if functions is not None:
            raise ValueError("give either functions= or states=, got both")
        if not callable(states):
            raise TypeError(f"states must be a function that gives the states, got {states!r}")
        return Told(states)
    from ..metrics.subject import Subject

    if functions is None:
        from ..metrics.roster import roster

        return Functions(roster.subjects)
    if callable(functions) or not isinstance(functions, Iterable):
        raise TypeError(f"functions must be an iterable of decorated functions, such as [f, g], got {functions!r}")
    chosen = [Subject(function) for function in functions]
    for subject in chosen:
        subject.check()
    return Functions(lambda: chosen)


def _takes_detailed(states: States) -> bool:
    try:
        return "detailed" in signature(states).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        return False


def _cache_of(subject: Subject) -> Any:
    return getattr(subject.function, "cache", None)


def _clear(subject: Subject) -> tuple[int, int]:
    """Entries removed and bytes freed, as far as nobody puts something in meanwhile."""
    control = _cache_of(subject)
    before = _held(subject)
    control.clear()
    after = _held(subject)
    return max(0, before[0] - after[0]), max(0, before[1] - after[1])


def _held(subject: Subject) -> tuple[int, int]:
    metrics = subject.metrics
    return _cache_of(subject).info().currsize, metrics.get_stats().total_size_bytes if metrics else 0
