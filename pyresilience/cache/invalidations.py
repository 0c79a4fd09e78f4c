"""Which keys were invalidated and not computed since, so that the next miss knows why. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class Invalidations(dict[Hashable, None]):
    """The latest invalidations of single keys.

    Args:
        size: How many are remembered.
    """

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def remember(self, key: Hashable) -> None:
        """*key* has just been invalidated."""
        self[key] = None
        if len(self) > self._size:
            del self[next(iter(self))]

    def recall(self, key: Hashable) -> bool:
        """Whether *key* was invalidated; it is not any more."""
        return self.pop(key, self) is None
