"""Which share of its accesses a cache answers, by who is evicted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from .traces import KEYS, Trace

if TYPE_CHECKING:
    from pyresilience.policies.eviction import EvictionOrder

ORDERS = ("lru", "s3fifo", "sieve", "tinylfu")
OPTIMUM = "Bélády"

SIZES = {"1 %": KEYS // 100, "10 %": KEYS // 10}
"""Entries of the cache, by their share of the keys that have a popularity."""


class Lru:
    """Who was used least recently leaves: what the others are compared with, as exact as that of the shelf."""

    def __init__(self, capacity: int) -> None:
        self._keys: OrderedDict[Hashable, None] = OrderedDict()
        self.touch = self._keys.move_to_end
        self.add = self._keys.setdefault

    def victim(self) -> Hashable:
        """The one at the front."""
        return self._keys.popitem(last=False)[0]


def order(name: str, size: int) -> EvictionOrder:
    """The machine of that name, as the cache has it."""
    from pyresilience.policies.eviction import ORDERS as MACHINES

    return Lru(size) if name == "lru" else MACHINES[name](size)  # type: ignore[return-value]


def hit_ratio(trace: Trace, name: str, size: int) -> float:
    """What a cache of that *size* reaches on *trace*, from empty, with the order of that *name* or the optimum."""
    return optimum(trace, size) if name == OPTIMUM else simulate(trace, order(name, size), size)


def simulate(trace: Trace, machine: EvictionOrder, size: int) -> float:
    """The cache: it touches what it holds, adds what it does not, and asks who leaves while it is too full."""
    held: set[Hashable] = set()
    hits = 0
    for key in trace:
        if key in held:
            machine.touch(key)
            hits += 1
        else:
            held.add(key)
            machine.add(key)
            if len(held) > size:
                held.remove(machine.victim())
    return hits / len(trace)


def optimum(trace: Trace, size: int) -> float:
    """What nobody can surpass: who is used again the latest leaves, and be it who has just come.

    Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 1966.
    """
    held: dict[int, int] = {}
    latest: list[tuple[int, int]] = []
    hits = 0
    for key, again in zip(trace, next_uses(trace), strict=True):
        hits += key in held
        held[key] = again
        heappush(latest, (-again, key))
        while len(held) > size:
            use, last = heappop(latest)
            if held.get(last) == -use:
                del held[last]
    return hits / len(trace)


def next_uses(trace: Trace) -> list[int]:
    """For each access the place of the next to the same key; past the end if there is none."""
    seen: dict[int, int] = {}
    uses = []
    for place in range(len(trace) - 1, -1, -1):
        uses.append(seen.get(trace[place], len(trace) + place))
        seen[trace[place]] = place
    return uses[::-1]
