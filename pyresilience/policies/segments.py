"""What the eviction orders have in common: entries found by key, each in one of several segments. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from itertools import chain, filterfalse
from typing import TypeAlias


class Entry:
    """A key, and what its policy has noted of it. Equal to itself alone, so that moving it calls no user's code."""

    __slots__ = ("key", "mark")

    def __init__(self, key: Hashable, mark: int = 0) -> None:
        self.key: Hashable = key
        self.mark = mark


Segment: TypeAlias = OrderedDict[Entry, None]
"""A queue that can also be left in the middle; the first one has been there longest."""


class SegmentedOrder:
    """Entries by key, each in one segment; an order says which segments there are, and who leaves.

    An entry is taken from one segment before it is put into another, so an interrupt, or a key that raises when it is
    compared, may leave it in none; the numbers no longer add up then, and the next eviction mends that.
    """

    __slots__ = ("_entries", "_segments")

    def __init__(self, segments: int) -> None:
        self._entries: dict[Hashable, Entry] = {}
        self._segments: tuple[Segment, ...] = tuple(OrderedDict() for _ in range(segments))

    def __len__(self) -> int:
        return len(self._entries)

    def discard(self, key: Hashable) -> None:
        """The entry has left for another reason; an unknown key is ignored."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            for segment in self._segments:
                segment.pop(entry, None)
            entry.key = None

    def victim(self) -> Hashable:
        """Choose who leaves, and forget it.

        Raises:
            KeyError: There is nobody.
        """
        if sum(map(len, self._segments)) != len(self._entries):
            self._mend()
        while (entry := self._leaver()) is not None:
            key = entry.key
            if self._entries.get(key) is entry:
                del self._entries[key]
                entry.key = None
                return key
        raise KeyError("there is no entry to evict")

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        for segment in self._segments:
            segment.clear()

    def _leaver(self) -> Entry | None:
        """Take the next one to leave out of its segment; None: the segments are empty."""
        raise NotImplementedError

    def _mend(self) -> None:
        """Put what is in no segment into the last, and take what nobody knows any more out of its own."""
        living = set(self._entries.values())
        for segment in self._segments:
            for entry in [*filterfalse(living.__contains__, segment)]:
                segment.pop(entry, None)
        placed = set(chain(*self._segments))
        self._segments[-1].update(dict.fromkeys(filterfalse(placed.__contains__, living)))
