"""What a cache holds and has let go, as its metrics know it: told by hand, or read off the cache itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .counts import BY_SIZE, EXPIRED, INVALIDATED
from .holding import Holding
from .windows import Totals


class Contents:
    """Knows what is there now, and which entries have left since it last told."""

    __slots__ = ("_holding", "_left", "_max_weight", "_reloading", "_told")

    def __init__(self) -> None:
        self._told = (0, 0)
        self._holding: Holding | None = None
        self._max_weight: float | None = None
        self._reloading: Callable[[], int] | None = None
        self._left = (0, 0, 0)

    def tell(self, entry_count: int, total_size_bytes: int) -> None:
        """So much is there now.

        Raises:
            ValueError: One of them is negative.
        """
        if not (entry_count >= 0 and total_size_bytes >= 0):
            raise ValueError(f"entries and bytes must be >= 0, got {entry_count!r} and {total_size_bytes!r}")
        self._told = (entry_count, total_size_bytes)

    def watch(self, holding: Holding, max_weight: float | None, reloading: Callable[[], int] | None) -> None:
        """Read all of it there from now on.

        Args:
            holding: What the cache holds.
            max_weight: What it may hold; None: anything.
            reloading: Tells how many entries are being reloaded; None: none ever is.
        """
        self._holding, self._max_weight, self._reloading = holding, max_weight, reloading
        self.forget()

    def forget(self) -> None:
        """What has left so far is of no interest."""
        if self._holding is not None:
            self._left = self._holding.evicted

    @property
    def has_lost(self) -> bool:
        """Whether entries have left that were not counted."""
        return self._holding is not None and self._holding.evicted != self._left

    def count(self, totals: Totals) -> None:
        """Add those that have left."""
        if self._holding is not None and (gone := self._holding.evicted) != self._left:
            before, self._left = self._left, gone
            for place, now, then in zip((BY_SIZE, EXPIRED, INVALIDATED), gone, before, strict=True):
                totals[place] += now - then

    def gauges(self) -> dict[str, Any]:
        """What is there now, as a snapshot calls it."""
        holding = self._holding
        if holding is None:
            return {"entry_count": self._told[0], "total_size_bytes": self._told[1], "max_entries": None}
        return {
            "entry_count": _settled(holding.entries, holding.max_entries),
            # weights need not be whole, nor add up exactly
            "total_size_bytes": max(0, round(_settled(holding.size_bytes, self._max_weight))),
            "max_entries": holding.max_entries,
            "max_weight": self._max_weight,
            "reloading": 0 if self._reloading is None else self._reloading(),
        }


def _settled(count: float, limit: float | None) -> float:
    """*count* without what comes while something else is still on its way out."""
    return count if limit is None else min(count, limit)
