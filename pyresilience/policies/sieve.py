"""SIEVE: one queue, and a hand that goes through it from the oldest to the newest, over and over. Pure.

Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web
Caches", NSDI 2024.
"""

from __future__ import annotations

from collections.abc import Hashable

from .segments import Entry, SegmentedOrder


class Sieve(SegmentedOrder):
    """The hand spares who was hit since it last came by, and evicts the first who was not.

    The queue is kept as two, cut where the hand stands: who is ahead of it, and whom it has passed. Newcomers join those
    ahead; once it has seen all of them, whom it has passed is ahead again.
    """

    __slots__ = ()

    def __init__(self, capacity: int) -> None:
        super().__init__(2)

    def add(self, key: Hashable) -> None:
        """A new entry, the newest of all."""
        entry = Entry(key)
        self._entries[key] = entry
        ahead, passed = self._segments
        if not ahead:
            ahead, passed = self._segments = passed, ahead
        ahead[entry] = None

    def touch(self, key: Hashable) -> None:
        """A hit; needs no lock.

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
        """Go back to the oldest when only the newest is ahead: it came for this eviction, and has had no time for hits."""
        ahead, passed = self._segments
        if len(ahead) < 2:
            while ahead:
                newest, _ = ahead.popitem()
                passed[newest] = None
            self._segments = passed, ahead
