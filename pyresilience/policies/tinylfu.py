"""W-TinyLFU: who is used often stays, with a window for who is new, as large as pays. Pure.

Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions on Storage 2017.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from .climber import HillClimber
from .segments import Entry, SegmentedOrder
from .sketch import FrequencySketch, spread

PROTECTED = 0.8
"""The share of the main part that is protected."""

TOUCHES = 128
"""So many hits are noted until the next entry comes; of more, the latest."""


class TinyLfu(SegmentedOrder):
    """An LRU window, then a main part that one must be used more often than its oldest member to get into.

    The main part is a segmented LRU: a hit leads from probation to the protected segment, which gives back its oldest.
    Hits are only noted when they happen, without a lock, and have their effect when the next entry comes.
    """

    __slots__ = ("_candidate", "_climber", "_sketch", "_touched")

    def __init__(self, capacity: int) -> None:
        super().__init__(3)
        self._sketch = FrequencySketch()
        self._climber = HillClimber()
        self._touched: deque[Entry] = deque(maxlen=TOUCHES)
        self._candidate: Entry | None = None

    def add(self, key: Hashable) -> None:
        """A new entry: it joins the window, whose oldest must go on."""
        number = spread(hash(key))
        self._drain()
        entry = Entry(key, number)
        self._entries[key] = entry
        window, _, probation = self._segments
        window[entry] = None
        self._sketch.count(number)
        self._sketch.fit(len(self._entries))
        self._climber.misses += 1
        self._climber.climb(len(self._entries))
        room = max(1, int(self._climber.share * len(self._entries)))
        for _ in range(2):
            if len(window) > room:
                candidate, _ = window.popitem(last=False)
                probation[candidate] = None
                self._candidate = candidate

    def touch(self, key: Hashable) -> None:
        """A hit; it needs no lock.

        Raises:
            KeyError: The entry is gone.
        """
        self._touched.append(self._entries[key])

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._touched.clear()
        self._sketch.clear()
        self._candidate = None

    def _drain(self) -> None:
        """Let the noted hits have their effect."""
        window, protected, probation = self._segments
        touched, sketch = self._touched, self._sketch
        self._climber.hits += len(touched)
        for _ in range(len(touched)):
            entry = touched.popleft()
            sketch.count(entry.mark)
            if entry in window:
                window.move_to_end(entry)
            elif entry in protected:
                protected.move_to_end(entry)
            elif entry in probation:
                del probation[entry]
                protected[entry] = None
                if len(protected) > PROTECTED * (len(protected) + len(probation)):
                    oldest, _ = protected.popitem(last=False)
                    probation[oldest] = None

    def _leaver(self) -> Entry | None:
        """The candidate from the window or the oldest in probation, whichever is used less."""
        window, protected, probation = self._segments
        candidate, self._candidate = self._candidate, None
        segment = probation or protected or window
        if not segment:
            return None
        entry = next(iter(segment))
        if candidate is not None and candidate in probation and candidate is not entry:
            frequency = self._sketch.frequency
            if frequency(candidate.mark) <= frequency(entry.mark) + 1:
                entry = candidate
        del segment[entry]
        return entry
