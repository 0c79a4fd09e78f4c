"""Which keys were invalidated and not computed since, so that the next miss knows why. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class Invalidations:
    """The latest invalidations of single keys.

    Args:
        size: How many are remembered.
    """

    __slots__ = ("_keys", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: dict[Hashable, None] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def remember(self, key: Hashable) -> None:
        """*key* has just been invalidated."""
        self._keys[key] = None
        if len(self._keys) > self._size:
            del self._keys[next(iter(self._keys))]

    def recall(self, key: Hashable) -> bool:
        """Whether *key* was invalidated; it is not any more."""
        return self._keys.pop(key, self) is None
