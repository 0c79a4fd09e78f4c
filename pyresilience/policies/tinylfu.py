"""W-TinyLFU: who is used often stays, beside a window for who was used just now, which is as large as pays. Pure.

Einziger, Friedman, Manes: "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions on Storage 2017.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from .climber import HillClimber
from .segments import Entry, Segment, SegmentedOrder
from .sketch import FrequencySketch, spread

PROTECTED = 0.8
"""The share of the main part that is protected."""

LEAD = 1
"""A candidate, which was counted just now, must be ahead by more than this of who is due to be used again."""

DEFENCES = 64
"""Who has turned away so many candidates one after the other goes to the end: what holds it there may be mere chance."""

TOUCHES = 128
"""So many hits are remembered until the next entry comes; of more, the last."""


class TinyLfu(SegmentedOrder):
    """An LRU window, and a main part into which the oldest of the window gets if it is used more than who would leave.

    The main part is an LRU of two segments: a hit in probation leads to the protected one, which gives back its oldest.
    A hit is only noted when it happens, since that takes no lock, and has its effect when the next entry comes.
    """

    __slots__ = ("_candidate", "_climber", "_defences", "_full", "_sketch", "_touched")

    def __init__(self, capacity: int) -> None:
        super().__init__(3)
        self._sketch = FrequencySketch()
        self._climber = HillClimber()
        self._touched: deque[Entry] = deque(maxlen=TOUCHES)
        self._candidate: Entry | None = None
        """Who has just come from the window to the main part, on trial."""
        self._defences = 0
        self._full = False

    def add(self, key: Hashable) -> None:
        """A new entry, which joins the window; the oldest there moves on."""
        number = spread(hash(key))
        hits = self._drain()
        entry = Entry(key, number)
        self._entries[key] = entry
        window, _, probation = self._segments
        window[entry] = None
        entries = len(self._entries)
        self._sketch.count(number)
        self._sketch.fit(entries)
        if self._full:
            self._climber.climb(hits, entries)
        room = max(1, int(self._climber.share * entries))
        for _ in range(2):  # two at most, so that a window that must shrink does so bit by bit
            if len(window) > room:
                self._candidate = _move_oldest(window, probation)

    def touch(self, key: Hashable) -> None:
        """A hit; needs no lock.

        Raises:
            KeyError: The entry is gone.
        """
        self._touched.append(self._entries[key])

    def clear(self) -> None:
        """Forget everything, frequencies too."""
        super().clear()
        self._touched.clear()
        self._sketch.clear()
        self._candidate = None
        self._full = False

    def _drain(self) -> int:
        """Let the hits have their effect; how many there were."""
        window, protected, probation = self._segments
        touched, count = self._touched, self._sketch.count
        hits = len(touched)
        for _ in range(hits):
            if not touched:
                break
            entry = touched.popleft()
            count(entry.mark)
            if entry in window:
                window.move_to_end(entry)
            elif entry in protected:
                protected.move_to_end(entry)
            elif entry in probation:
                del probation[entry]
                protected[entry] = None
                if len(protected) > PROTECTED * (len(protected) + len(probation)):
                    _move_oldest(protected, probation)
        return hits

    def _leaver(self) -> Entry | None:
        window, protected, probation = self._segments
        candidate, self._candidate, self._full = self._candidate, None, True
        segment = probation or protected or window
        if not segment:
            return None
        defender, _ = segment.popitem(last=False)
        if candidate is None or candidate not in probation or self._better(candidate, defender):
            self._defences = 0
            return defender
        self._defences = (self._defences + 1) % DEFENCES
        probation[defender] = None
        if self._defences:
            probation.move_to_end(defender, last=False)
        probation.pop(candidate, None)
        return candidate

    def _better(self, candidate: Entry, defender: Entry) -> bool:
        frequency = self._sketch.frequency(candidate.mark)
        return frequency > LEAD and frequency > self._sketch.frequency(defender.mark) + LEAD


def _move_oldest(source: Segment, target: Segment) -> Entry | None:
    if not source:
        return None
    oldest, _ = source.popitem(last=False)
    target[oldest] = None
    return oldest
