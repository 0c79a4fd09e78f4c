"""Which entry expires next. Pure.

It is drawn up only when something may be over and is not on it: with one TTL for all, once per TTL. Until then a new
entry, which lives longer than all that are on it, costs one comparison; only one that does not is put on it at once.
What is found on it is compared with what is really there, so an entry that leaves for another reason costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from itertools import count
from math import inf
from operator import itemgetter

NOBODY: Hashable = object()
"""Stands for the key of an entry that is due, if there is none."""

SLACK = 64
"""Lines that may be put on it one by one, however few entries there are."""


class Agenda:
    """The deadlines of entries, as far as they are near.

    Args:
        entries: Tells the deadlines and keys of all that are there.
        deadline_of: Tells when the entry of a key is over; None: there is no such entry.
    """

    __slots__ = (
        "_deadline_of",
        "_entries",
        "_keys",
        "_longer",
        "_most",
        "_number",
        "_others",
        "_untils",
        "horizon",
        "soonest",
    )

    def __init__(
        self,
        entries: Callable[[], list[tuple[float, Hashable]]],
        deadline_of: Callable[[Hashable], float | None],
    ) -> None:
        self._entries = entries
        self._deadline_of = deadline_of
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.horizon = -inf
        """Every entry that is over before stands on it."""
        self.soonest = -inf
        """When it is to be asked what is due, and no sooner."""
        self._untils: deque[float] = deque()
        self._keys: deque[Hashable] = deque()
        self._others: list[tuple[float, int, Hashable]] = []
        self._longer: dict[Hashable, float] = {}
        """Of which it was known already that they live longer, and how long."""
        self._number = count().__next__
        self._most = SLACK

    def add(self, key: Hashable, until: float) -> None:
        """The entry of *key* is over then, before the horizon."""
        from heapq import heappush  # most agendas never need it

        heappush(self._others, (until, self._number(), key))
        self.soonest = min(self.soonest, until)
        if len(self._others) > self._most:
            self._draw_up()

    def due(self, now: float) -> Hashable:
        """The key whose entry was over first, struck off; NOBODY: none is over."""
        key = self._take(now)
        if key is NOBODY and now >= self.horizon:
            self._draw_up()
            key = self._take(now)
        self.soonest = min(self._next(), self.horizon)
        return key

    def _take(self, now: float) -> Hashable:
        while (until := self._next()) <= now:
            key = self._strike()
            deadline = self._deadline_of(key)
            if deadline is None:
                continue
            if deadline <= until:
                return key
            if deadline < self.horizon and self._longer.get(key) != deadline:  # it lives longer than was thought
                self._longer[key] = deadline
                self.add(key, deadline)
        return NOBODY

    def _draw_up(self) -> None:
        """Put on it all that are over some day, in order."""
        entries = self._entries()
        lines = sorted([line for line in entries if line[0] < inf], key=itemgetter(0))
        self.clear()
        self._most = SLACK + 2 * len(entries)
        self._untils.extend([until for until, _ in lines])
        self._keys.extend([key for _, key in lines])
        self.horizon = lines[-1][0] if 2 * len(lines) > len(entries) else inf
        self.soonest = self._next()

    def _next(self) -> float:
        """When the next line is due."""
        first = self._untils[0] if self._untils else inf
        return min(first, self._others[0][0]) if self._others else first

    def _strike(self) -> Hashable:
        """Strike off the next line."""
        if not self._untils or (self._others and self._others[0][0] < self._untils[0]):
            from heapq import heappop

            key: Hashable = heappop(self._others)[2]
            return key
        self._untils.popleft()
        return self._keys.popleft() if self._keys else None
