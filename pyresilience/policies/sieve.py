"""SIEVE: one queue, and a hand that goes through it from the oldest to the newest, over and over. Pure.

Zhang et al., "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web Caches", NSDI 2024.
"""

from __future__ import annotations

from collections.abc import Hashable

from .segments import Entry, SegmentedOrder


class Sieve(SegmentedOrder):
    """The hand passes over who was hit since it last came by, and evicts the first who was not.

    The queue is cut where the hand stands: who is ahead of it and who was passed, each oldest first. New entries join at
    the end of those ahead; when the hand has seen them all, it is back at the oldest.
    """

    __slots__ = ()

    def __init__(self, capacity: int) -> None:
        super().__init__(2)

    def add(self, key: Hashable) -> None:
        """A new entry: the newest."""
        entry = Entry(key)
        self._entries[key] = entry
        self._segments[0][entry] = None

    def touch(self, key: Hashable) -> None:
        """A hit; it needs no lock.

        Raises:
            KeyError: The entry is gone.
        """
        self._entries[key].mark = 1

    def _leaver(self) -> Entry | None:
        while True:
            self._turn()
            ahead, passed = self._segments
            if not ahead:
                return None
            entry, _ = ahead.popitem(last=False)
            if not entry.mark:
                self._turn()
                return entry
            entry.mark = 0
            passed[entry] = None

    def _turn(self) -> None:
        """Go back to the oldest once nobody but the newest is ahead, who is looked at in the next round only."""
        ahead, passed = self._segments
        if len(ahead) < 2:
            while ahead:
                newest, _ = ahead.popitem()
                passed[newest] = None
            self._segments = passed, ahead
