"""What the eviction orders have in common: entries found by key, each in one of several queues. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import filterfalse
from typing import TypeAlias


class Entry:
    """A key, and what its order has noted of it. It equals itself alone, so that moving it calls no code of a user."""

    __slots__ = ("key", "mark")

    def __init__(self, key: Hashable, mark: int = 0) -> None:
        self.key: Hashable = key
        self.mark = mark


Segment: TypeAlias = OrderedDict[Entry, None]
"""A queue that one may also leave from the middle; who came first stands first."""


class SegmentedOrder:
    """Every entry stands in one segment; the orders differ in which there are, and in who leaves.

    An entry is taken out of one segment before it is put into the next. An interrupt between the two, or a key that
    raises when it is compared, leaves it in none: then the numbers do not add up, and the next eviction mends that.
    """

    __slots__ = ("_entries", "_segments")

    def __init__(self, segments: int) -> None:
        self._entries: dict[Hashable, Entry] = {}
        self._segments: tuple[Segment, ...] = tuple(OrderedDict() for _ in range(segments))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Hashable]:
        return iter([*self._entries])

    def __contains__(self, key: object) -> bool:
        return key in self._entries

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
                self._entries.pop(key, None)
                entry.key = None
                return key
        raise KeyError("there is no entry that could leave")

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        for segment in self._segments:
            segment.clear()

    def _leaver(self) -> Entry | None:
        """Take out of its segment who leaves next; None: the segments are empty."""
        raise NotImplementedError

    def _mend(self) -> None:
        """Leave every entry in one segment, and nothing else: who is in none joins the last."""
        missing = set(self._entries.values())
        for segment in self._segments:
            for entry in [*filterfalse(missing.__contains__, segment)]:
                segment.pop(entry, None)
            missing.difference_update(segment)
        self._segments[-1].update(dict.fromkeys(filter(missing.__contains__, self._entries.values())))
