"""What is compared with what: groups of rows, rows of contestants, contestants that give samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias

Home: TypeAlias = Literal["ours", "namesake", "others"]
"""The process a contestant runs in. The namesake has our import name, so each of us has its own."""

Unit: TypeAlias = Literal["seconds", "share", "ratio", "runs", "bytes"]

Wrap: TypeAlias = Callable[..., Callable[..., Any]]
"""What makes a decorated function of a plain one."""


class Sample(Protocol):
    """Measures once."""

    def __call__(self, seconds: float, /) -> float:
        """One value, in the unit of the row, from about *seconds* of work where the work can be repeated."""
        ...


@dataclass(frozen=True, slots=True)
class Library:
    """One way to decorate a function.

    Args:
        name: What its column is called.
        wrap: Decorates; it imports what it needs itself, so that a process holds no more than its contestants.
        home: The process it runs in.
    """

    name: str
    wrap: Wrap
    home: Home = "others"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One cell of a table.

    Args:
        name: The library.
        make: Gets everything ready and returns what measures.
        home: The process it runs in.
    """

    name: str
    make: Callable[[], Sample]
    home: Home = "others"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of several contestants.

    Args:
        name: The measure; no two rows have the same.
        unit: What the samples are.
        contestants: Who takes part, in the order of the columns.
        rounds: At most so many samples per pass; None: as many as the run takes.
        once: In the first pass only, as it is the same in every process.
        worst: Report the largest sample instead of the median.
        threaded: More than one thread takes part, so every core may; anything else is kept on one core.
    """

    name: str
    unit: Unit
    contestants: tuple[Contestant, ...]
    rounds: int | None = None
    once: bool = False
    worst: bool = False
    threaded: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One table."""

    title: str
    note: str
    rows: tuple[Row, ...]


OURS = "pyresilience"
NAMESAKE = "0.4.1 of our name"
BARE = "bare call"
"""The function itself, undecorated; a coroutine function is awaited."""


def ours_and_namesake(wrap: Wrap) -> tuple[Library, Library]:
    """The two packages of our name have the same interface: the same lines measure both."""
    return Library(OURS, wrap, "ours"), Library(NAMESAKE, wrap, "namesake")


def entrants(libraries: Iterable[Library], measure: Callable[[Wrap], Sample]) -> tuple[Contestant, ...]:
    """Every one of *libraries* under the same *measure*."""
    return tuple(Contestant(library.name, partial(measure, library.wrap), library.home) for library in libraries)
