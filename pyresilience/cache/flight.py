"""One call through a cache: it leads its key, or follows the one that does."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from math import inf
from typing import Any, TypeAlias

from .. import _async, _blocking
from .._call import Call
from .._forks import renew_in_child
from .._outcome import Outcome
from .shelf import Row

Signal: TypeAlias = Callable[[], _blocking.Signal | _async.Signal]
Home: TypeAlias = Callable[[], Any]
Limit: TypeAlias = float | Callable[[Call], float] | None

leading: ContextVar[Flight | None] = ContextVar("pyresilience_leading", default=None)
"""The flight that was begun last around us. It stays there when it is over."""

NO_KEYWORDS: dict[str, Any] = {}
"""The keyword arguments of a flight that is over."""

STALL = 2.0
"""Seconds after which a decision that takes microseconds is taken to wait for a lock that we hold."""


class Graph:
    """Guards who waits for whom, over all caches: two callers must not begin to wait for each other at once."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child nobody waits."""
        self.lock = threading.RLock()


_graph = Graph()


class Line(OrderedDict["Flight", None]):
    """Those who wait for one flight, in order. They may be handed on to another as they stand, however many they are."""

    __slots__ = ("leader",)

    def __init__(self, leader: Flight) -> None:
        super().__init__()
        self.leader = leader

    def first(self) -> Flight | None:
        """The first who still waits; who has been told something, or is gone with its event loop, leaves the line."""
        while self:
            flight = next(iter(self))
            told = flight.outcome is not None or flight.over  # in that order: once it is over it has taken its outcome
            if flight.line is self and not told and not _async.vanished(flight.home):
                return flight
            self.pop(flight, None)
            flight.wake()
        return None


class Flight(Call):
    """A call that missed the cache, and its place among the others of its key."""

    above: Flight | None = None
    """The flight within which this one was called."""
    line: Line | None = None
    """Where it stands as long as it waits for another; None: nowhere, it computes."""
    followers: Line | tuple[()] = ()
    """Who waits for it."""
    signal: Any = None
    """Wakes it while it waits."""
    outcome: Outcome | None = None
    """What it was told while it waited."""
    home: Any = None
    """The event loop it lives in; None: a thread, or trio."""
    thread: int = 0
    """The thread that it blocks; 0: it lives in an event loop."""
    over: bool = False
    """It has landed, or failed, and holds on to no argument."""
    found: bool = False
    """It was answered by a row, or by another flight."""
    reason: str = "cold"
    """Why the cache had nothing."""
    source: str = "coalesced"
    """What answered it while it waited."""
    patience: float = inf
    """When it will have waited long enough for its leader."""
    soft: bool = False
    """It waits for its leader only briefly, as there is something it can have instead."""
    gave_up: bool = False
    """It has waited for its leader as long as `wait_timeout` says."""
    counted: int = 1
    """1: a caller waits for it; 0: it runs in the background, and no call is to be counted."""
    in_vain: bool = False
    """It got nothing better than what was there."""
    failed: bool = False
    """What it had to run has raised, and not what the settings have looking at results."""
    trouble: str = ""
    """What went wrong, if an old result stands in for it."""
    excusable: bool = True
    """Whether an old result may stand in if it fails."""
    old: Row | None = None
    """What is kept while it computes something better."""
    scheduled: bool = False
    """It has a reload run in the background."""
    unkept: str = ""
    """Why its result is not kept."""
    tags: Sequence[str] | None = ()
    """What its result is called; None: that depends on the result."""
    mark: int = 0
    """The last invalidation of a tag before it began."""
    began: float = 0.0
    """When it began, where that matters."""
    boarded: bool = False
    """It took its place before it began to run."""

    def replaces(self, row: Row) -> bool:
        """Whether it is to compute something better than *row*, even if that is fresh."""
        return False

    def vet(self) -> None:
        """Make sure that it computes what it is for. A caller's own call does, whatever its arguments have become."""

    def forestall(self, outcome: Outcome, source: str) -> None:
        """Nobody is to come too late to hear its *outcome*: a caller's own call has whoever waits for it in line."""

    @property
    def leader(self) -> Flight | None:
        """Whom it waits for; None: nobody, it computes."""
        return None if self.line is None else self.line.leader

    @property
    def waits(self) -> bool:
        """Whether it is still to be told what becomes of its wait."""
        return self.line is not None and self.outcome is None

    def follow(self, leader: Flight, signal: _blocking.Signal | _async.Signal) -> bool:
        """Wait for *leader*; False: it would wait for us, or has ended."""
        if self.thread and self.thread == leader.thread:  # it is below us, though in another context
            return False
        if self.above is None:
            return self._line_up(leader, signal)
        if any(each.line is not None for each in _outwards(self.above)):  # a handler, in a call that waits for its end
            return False
        lock = _graph.lock
        if lock._is_owned():  # type: ignore[attr-defined]  # a handler, in the middle of another such decision
            return False
        try:  # a handler in the middle of a decision may want the lock of our cache, so there is an end to waiting for it
            return lock.acquire(timeout=STALL) and not leader.waits_for(self.above) and self._line_up(leader, signal)
        finally:
            try:
                lock.release()
            except RuntimeError:  # it was not to be had
                pass

    def _line_up(self, leader: Flight, signal: _blocking.Signal | _async.Signal) -> bool:
        """Stand behind *leader*; False: it has ended meanwhile, which garbage collection may bring about anywhere."""
        line = leader.followers or Line(leader)
        if leader.over:
            return False
        self.signal, self.line = signal, line
        line[self] = None
        leader.followers = line
        return True

    def waits_for(self, other: Flight) -> bool:
        """Whether this flight cannot land before *other*, or one around it, has landed."""
        todo, seen = list(_outwards(other)), set[int]()
        while todo:
            flight = todo.pop()
            if flight is self:
                return True
            if id(flight) not in seen:
                seen.add(id(flight))
                for follower in tuple(flight.followers):
                    todo.append(follower)
                    todo.extend(_outwards(follower.above))
        return False

    def tell(self, outcome: Outcome) -> None:
        """Give this follower what it waits for."""
        self.outcome = outcome
        self.wake()

    def lead(self, line: Line | tuple[()] = ()) -> None:
        """Compute instead of waiting, with those of *line* behind."""
        before = line.leader if line else self
        if line:
            line.leader, self.followers = self, line
        self.line = None
        self.wake()  # before it leaves the line, where whoever is interrupted here finds it again
        if line:
            line.pop(self, None)
        if before.home is not self.home:  # which may be closed as well: they have to look from time to time
            for each in [*line]:
                each.wake()

    def withdraw(self) -> None:
        """Stand in line no longer."""
        if self.line is not None:
            self.line.pop(self, None)

    def wake(self) -> None:
        """Let this follower look at what has become of its wait."""
        if self.signal is not None:
            self.signal.set()

    def collect(self) -> Any:
        """Return or raise what it was told."""
        outcome, self.outcome = self.outcome, None
        assert outcome is not None
        try:
            return outcome.unwrap()
        finally:
            del outcome


def _outwards(flight: Flight | None) -> list[Flight]:
    """*flight* and all around it."""
    chain = []
    while flight is not None:
        chain.append(flight)
        flight = flight.above
    return chain
