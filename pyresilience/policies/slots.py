"""The slots of a bulkhead: a fixed number of tokens, each on the rack or in somebody's hands."""

from __future__ import annotations

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
    """A rack of *limit* slots. Taking from it and putting back are one step of a list each, so they need no lock."""

    __slots__ = ("_issued", "limit", "rack")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rack = [Slot() for _ in range(limit)]
        """The slots at hand."""
        self._issued = [ref(slot) for slot in self.rack]

    def take(self) -> Slot | None:
        """A slot from the rack; None: there is none."""
        try:
            return self.rack.pop()
        except IndexError:
            return None

    def recover(self, vanished: Callable[[Any], bool]) -> None:
        """Replace every slot whose holder is no more: interrupted before it could put it back, or *vanished*."""
        for place, issued in enumerate(self._issued):
            slot = issued()
            if slot is None or (slot not in self.rack and vanished(slot.home)):
                self._replace(place, slot)

    def renew(self) -> None:
        """Nobody holds a slot any more, whoever did."""
        self.recover(lambda home: True)

    def _replace(self, place: int, slot: Slot | None) -> None:
        if slot is not None:
            slot.void = True
        fresh = Slot()
        self._issued[place] = ref(fresh)
        self.rack.append(fresh)
