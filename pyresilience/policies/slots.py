"""The slots of a bulkhead: a fixed number of tokens, each on the rack or in somebody's hands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import ref


class Slot:
    """The right to be inside, for as long as its holder lives."""

    __slots__ = ("__weakref__", "home", "void")

    def __init__(self) -> None:
        self.home: Any = None
        """Where the holder lives."""
        self.void = False
        """Recovered from a holder that was gone: it does not go back to the rack."""


class Slots:
    """At most *limit* slots, made when they are first needed.

    Taking one from the rack and putting it back are one step of a deque each and need no lock; the rest does.
    """

    __slots__ = ("_issued", "_lost", "limit", "rack")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rack: deque[Slot] = deque()
        """The slots at hand."""
        self._issued: list[ref[Slot]] = []
        self._lost = False

    @property
    def in_use(self) -> int:
        """How many are in somebody's hands."""
        return len(self._issued) - len(self.rack)

    def take(self) -> Slot | None:
        """A slot from the rack; None: it is empty."""
        try:
            return self.rack.pop()
        except IndexError:
            return None

    def issue(self) -> Slot | None:
        """A new slot; None: there are as many as there may be."""
        if len(self._issued) >= self.limit:
            return None
        slot = Slot()
        self._issued.append(ref(slot, self._lose))
        return slot

    def recover(self, vanished: Callable[[Any], bool] | None) -> None:
        """Replace every slot whose holder is no more: interrupted before it could put it back, or *vanished*.

        None: no holder lives where it could vanish; then there is nothing to look at while no slot was lost.
        """
        if vanished is None and not self._lost:
            return
        self._lost = False
        for place, issued in enumerate(self._issued):
            slot = issued()
            if slot is None or (vanished is not None and slot not in self.rack and vanished(slot.home)):
                self._replace(place, slot)

    def renew(self) -> None:
        """Nobody holds a slot any more, whoever did."""
        for place, issued in enumerate(self._issued):
            slot = issued()
            if slot is None or slot not in self.rack:
                self._replace(place, slot)

    def _lose(self, dead: ref[Slot]) -> None:
        """A slot died in the hands of its holder."""
        self._lost = True

    def _replace(self, place: int, former: Slot | None) -> None:
        if former is not None:
            former.void = True
        fresh = Slot()
        self._issued[place] = ref(fresh, self._lose)
        self.rack.append(fresh)
