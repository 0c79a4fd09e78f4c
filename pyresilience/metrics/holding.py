"""What a cache tells its metrics of its contents."""

from __future__ import annotations

from typing import Protocol


class Holding(Protocol):
    """What a cache holds and has let go, as its metrics want to know it."""

    @property
    def entries(self) -> int:
        """Entries there are."""
        ...

    @property
    def max_entries(self) -> int | None:
        """Entries there may be."""
        ...

    @property
    def size_bytes(self) -> float:
        """Bytes they take, or what they weigh."""
        ...

    @property
    def evicted(self) -> tuple[int, int, int]:
        """Entries that have left: for want of room, expired, invalidated."""
        ...
