"""Who leaves a cache that is full: what is asked of an eviction order, and those that there are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Protocol

from .s3fifo import S3Fifo
from .sieve import Sieve
from .tinylfu import TinyLfu


class EvictionOrder(Protocol):
    """Knows the keys of a cache, and who leaves next. The holder locks for everything but `touch`.

    It sizes its parts by the entries that there are at the time: a cache that is bounded by weight need not say how many
    it will hold. To put an entry: `add`, and while there is too much, `victim`.
    """

    def __len__(self) -> int:
        """How many keys it knows."""
        ...

    def __iter__(self) -> Iterator[Hashable]:
        """The keys it knows."""
        ...

    def __contains__(self, key: object) -> bool:
        """Whether it knows *key*."""
        ...

    def add(self, key: Hashable) -> None:
        """An entry came that was not there."""
        ...

    def touch(self, key: Hashable) -> None:
        """A hit; from any thread, at any time, without a lock. KeyError: the entry is gone."""
        ...

    def discard(self, key: Hashable) -> None:
        """The entry left for another reason; an unknown key is ignored."""
        ...

    def victim(self) -> Hashable:
        """Choose who leaves, possibly who has just come, and forget it. KeyError: there is nobody."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


ORDERS: Mapping[str, Callable[[int], EvictionOrder]] = {"s3fifo": S3Fifo, "sieve": Sieve, "tinylfu": TinyLfu}
"""Makes an order of that name for a cache of at most so many entries."""
