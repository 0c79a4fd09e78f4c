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
        """Where the holder lives; None while it lies on the rack."""
        self.void = False
        """Recovered from a holder that was gone: giving it back changes nothing."""


class Slots:
    """A rack of *limit* slots. Taking and giving back are one step of a list each, so they need no lock."""

    __slots__ = ("_issued", "limit", "rack")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rack: list[Slot] = []
        """The slots at hand."""
        self._issued: list[ref[Slot]] = []
        self.renew()

    def renew(self) -> None:
        """All slots are on the rack, whoever had one."""
        for issued in self._issued:
            if (slot := issued()) is not None:
                slot.void = True
        self.rack = [Slot() for _ in range(self.limit)]
        self._issued = [ref(slot) for slot in self.rack]

    def take(self) -> Slot | None:
        """A slot; None: there is none."""
        try:
            return self.rack.pop()
        except IndexError:
            return None

    def give(self, slot: Slot) -> None:
        """Give *slot* back."""
        slot.home = None
        if not slot.void:
            self.rack.append(slot)

    def recover(self, vanished: Callable[[Any], bool]) -> None:
        """Replace every slot whose holder is no more: interrupted before it could give it back, or *vanished*."""
        for place, issued in enumerate(self._issued):
            slot = issued()
            if slot is not None and not vanished(slot.home):
                continue
            if slot is not None:
                slot.void = True
            fresh = Slot()
            self._issued[place] = ref(fresh)
            self.rack.append(fresh)
