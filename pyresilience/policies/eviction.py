"""Who leaves when a cache is full: what every eviction order can do, and which there are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Protocol

from .s3fifo import S3Fifo
from .sieve import Sieve
from .tinylfu import TinyLfu


class EvictionOrder(Protocol):
    """Knows the keys of a cache, and which of them leaves next."""

    def add(self, key: Hashable) -> None:
        """A new entry."""
        ...

    def touch(self, key: Hashable) -> None:
        """A hit."""
        ...

    def discard(self, key: Hashable) -> None:
        """Left."""
        ...

    def victim(self) -> Hashable:
        """Choose."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


ORDERS: Mapping[str, Callable[[int], EvictionOrder]] = {"s3fifo": S3Fifo, "sieve": Sieve, "tinylfu": TinyLfu}
