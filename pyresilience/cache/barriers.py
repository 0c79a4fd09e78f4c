"""Tags are invalidated by a barrier: whatever was computed before it is compared with it when it is read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FEW = 1024
"""Tags that have barriers without it being asked whether anything stands before them."""

CLOSE = 32
"""Soft barriers of one tag that are told apart."""


class Barrier:
    """The invalidations of one tag: the number of the last hard one, and number and time of each soft one since."""

    __slots__ = ("hard", "softs")

    def __init__(self) -> None:
        self.hard = 0
        self.softs: tuple[tuple[int, float], ...] = ()

    @property
    def latest(self) -> int:
        """The number of the last one."""
        return self.softs[-1][0] if self.softs else self.hard

    def stale_since(self, mark: int) -> float | None:
        """Since when a result begun after invalidation *mark* is stale; None: it is not."""
        for number, since in self.softs:
            if number > mark:
                return since
        return None


class Barriers:
    """The invalidations of all tags of a cache, numbered in their order."""

    __slots__ = ("_barriers", "_hard", "_left", "number")

    def __init__(self) -> None:
        self.number = 0
        """The latest invalidation."""
        self._hard = 0
        """The latest hard one."""
        self._barriers: dict[str, Barrier] = {}
        self._left = 0
        """How many were left when they were thinned out last."""

    def raise_hard(self, tag: str) -> None:
        """What has *tag* and was begun before now is not to be used any more."""
        barrier = self._barriers.setdefault(tag, Barrier())
        barrier.hard, barrier.softs = self.number + 1, ()
        self.number = self._hard = self.number + 1

    def raise_soft(self, tag: str, now: float) -> None:
        """What has *tag* and was begun before *now* is stale from now on."""
        barrier = self._barriers.setdefault(tag, Barrier())
        softs = barrier.softs
        if len(softs) >= CLOSE:  # of two, the later one, as early as the other: so nothing is taken for younger
            softs = tuple((later[0], earlier[1]) for earlier, later in zip(softs[::2], softs[1::2], strict=True))
        barrier.softs = (*softs, (self.number + 1, now))
        self.number += 1

    def before(self, tags: Sequence[str], mark: int) -> tuple[bool, float | None]:
        """Whether one of *tags* was invalidated hard since *mark*, and since when one of them is stale, if it is."""
        revoked, since = False, None
        for tag in tags:
            barrier = self._barriers.get(tag)
            if barrier is not None and barrier.latest > mark:
                revoked = revoked or barrier.hard > mark
                stale = barrier.stale_since(mark)
                if stale is not None and (since is None or stale < since):
                    since = stale
        return revoked, since

    def outdate(self, tags: Sequence[str] | None, mark: int) -> bool:
        """Whether what was begun after invalidation *mark* is not to be used any more; *tags* None: it may have any."""
        return self._hard > mark and (tags is None or self.before(tags, mark)[0])

    def crowded(self, entries: int) -> bool:
        """Whether there are so many of them that most stand before nothing, with so many *entries*."""
        return len(self._barriers) > max(FEW + 2 * entries, 2 * self._left)

    def thin_out(self, tags: Iterable[str], mark: int) -> None:
        """Forget those before which nothing stands: no entry has their tag, no computation began before them."""
        used = set(tags)
        self._barriers = {tag: each for tag, each in self._barriers.items() if tag in used or each.latest > mark}
        self._left = len(self._barriers)
