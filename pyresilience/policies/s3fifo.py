"""S3-FIFO: a small queue to look at newcomers, a main one for those that proved themselves, ghosts of the rest. Pure.

Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from .segments import Entry, SegmentedOrder

SMALL = 10
"""The small queue holds one entry of so many."""

MOST = 3
"""Hits are counted up to this."""


class S3Fifo(SegmentedOrder):
    """Most newcomers are never hit again: they leave from the small queue, before they push out what is worth keeping.

    Two hits there lead to the main queue, where each hit, up to three, is worth another round. Who left from the small
    queue is remembered for a while by its hash alone; if it comes back, it goes to the main queue at once.
    """

    __slots__ = ("_ghosts",)

    def __init__(self, capacity: int) -> None:
        super().__init__(2)
        self._ghosts: OrderedDict[int, bool] = OrderedDict()

    def add(self, key: Hashable) -> None:
        """A new entry, or one that comes back."""
        small, main = self._segments
        number, entry = hash(key), Entry(key)
        self._entries[key] = entry
        (main if self._ghosts.pop(number, False) else small)[entry] = None

    def touch(self, key: Hashable) -> None:
        """A hit; it needs no lock.

        Raises:
            KeyError: The entry is gone.
        """
        entry = self._entries[key]
        if entry.mark < MOST:
            entry.mark += 1

    def clear(self) -> None:
        """Forget everything, ghosts too."""
        super().clear()
        self._ghosts.clear()

    def _leaver(self) -> Entry | None:
        small, main = self._segments
        share = max(1, len(self._entries) // SMALL)
        while small or main:
            if len(small) > share or not main:
                entry, _ = small.popitem(last=False)
                if entry.mark < 2:
                    self._remember(hash(entry.key), len(self._entries) - share)
                    return entry
            else:
                entry, _ = main.popitem(last=False)
                if not entry.mark:
                    return entry
                entry.mark -= 1
            main[entry] = None
        return None

    def _remember(self, number: int, most: int) -> None:
        """Keep the hash of who leaves, and forget the oldest: there are as many ghosts as the main queue has places."""
        self._ghosts[number] = True
        while len(self._ghosts) > most:
            self._ghosts.popitem(last=False)
