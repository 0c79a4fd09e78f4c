"""Tags are invalidated by a barrier: whatever was computed before it is compared with it when it is read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

FEW = 1024
"""Barriers that are kept without asking whether anything stands before them."""


class Barrier(NamedTuple):
    """The last invalidations of one tag: their numbers, and the time of the soft one."""

    hard: int
    soft: int
    since: float


class Barriers:
    """The invalidations of all tags of a cache, numbered in their order."""

    __slots__ = ("_barriers", "number")

    def __init__(self) -> None:
        self.number = 0
        """The latest invalidation."""
        self._barriers: dict[str, Barrier] = {}

    def raise_hard(self, tag: str) -> None:
        """What has *tag* and was begun before now is not to be used any more."""
        _, soft, since = self._barriers.get(tag, _NONE)
        self._barriers[tag] = Barrier(self.number + 1, soft, since)
        self.number += 1

    def raise_soft(self, tag: str, now: float) -> None:
        """What has *tag* and was begun before *now* is stale from now on."""
        self._barriers[tag] = Barrier(self._barriers.get(tag, _NONE).hard, self.number + 1, now)
        self.number += 1

    def before(self, tags: Sequence[str], mark: int) -> tuple[bool, float | None]:
        """Whether one of *tags* was invalidated hard since *mark*, and since when one of them is stale, if it is."""
        revoked, since = False, None
        for tag in tags:
            barrier = self._barriers.get(tag)
            if barrier is not None:
                revoked = revoked or barrier.hard > mark
                if barrier.soft > mark:
                    since = barrier.since if since is None else min(since, barrier.since)
        return revoked, since

    def crowded(self, entries: int) -> bool:
        """Whether there are so many of them that most stand before nothing, with so many *entries*."""
        return len(self._barriers) > FEW + 2 * entries

    def thin_out(self, tags: Iterable[str], mark: int) -> None:
        """Forget those before which nothing stands: no entry has their tag, no computation began before them."""
        used = set(tags)
        self._barriers = {
            tag: each for tag, each in self._barriers.items() if tag in used or max(each.hard, each.soft) > mark
        }


_NONE = Barrier(0, 0, 0.0)
