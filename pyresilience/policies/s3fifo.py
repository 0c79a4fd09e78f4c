"""S3-FIFO: a small queue for newcomers, a main one for who has proved worth it, and ghosts of the others. Pure.

Yang, Zhang, Qiu, Yue, Rashmi: "FIFO Queues are All You Need for Cache Eviction", SOSP 2023.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from .segments import Entry, SegmentedOrder

SMALL = 10
"""One entry of so many has its place in the small queue."""

MOST = 3
"""Hits are counted up to here."""


class S3Fifo(SegmentedOrder):
    """Most newcomers are never hit again: they leave soon, by way of the small queue, and push out nobody else.

    Two hits in there lead to the main queue, and in that one each hit is good for another round. Who leaves from the
    small queue is remembered by hash for a while; if it comes back, it goes to the main queue at once.
    """

    __slots__ = ("_ghosts",)

    def __init__(self, capacity: int) -> None:
        super().__init__(2)
        self._ghosts: OrderedDict[int, bool] = OrderedDict()

    def add(self, key: Hashable) -> None:
        """A new entry, or one that is back."""
        small, main = self._segments
        number, entry = hash(key), Entry(key)
        self._entries[key] = entry
        queue = main if self._ghosts.pop(number, False) else small
        queue[entry] = None

    def touch(self, key: Hashable) -> None:
        """A hit; needs no lock.

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
        room = max(1, len(self._entries) // SMALL)
        while small or main:
            if len(small) > room or not main:
                entry, _ = small.popitem(last=False)
                if entry.mark < 2:
                    self._remember(hash(entry.key), len(self._entries) - room)
                    return entry
            else:
                entry, _ = main.popitem(last=False)
                if not entry.mark:
                    return entry
                entry.mark -= 1
            main[entry] = None
        return None

    def _remember(self, number: int, most: int) -> None:
        """Keep the hash of who leaves, and no more of them than there are places in the main queue."""
        self._ghosts[number] = True
        while len(self._ghosts) > most:
            self._ghosts.popitem(last=False)
