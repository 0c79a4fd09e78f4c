"""What a cache says of itself: its counts, and what is going on."""

from __future__ import annotations

from typing import NamedTuple


class CacheInfo(NamedTuple):
    """The counts of a cache, named as `functools.lru_cache` names them."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


class CacheState(CacheInfo):
    """The counts, and what is going on.

    Attributes:
        weight: What the entries weigh together; 0 where nobody weighs them.
        max_weight: What they may weigh; None: anything.
        reloading: Reloads that run in the background.
        reload_failures: How many have failed so far.
    """

    weight: float
    max_weight: float | None
    reloading: int
    reload_failures: int

    def __repr__(self) -> str:
        more = "".join(f", {name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({super().__repr__().partition('(')[2][:-1]}{more})"
