"""The settings of a cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from .._settings import require, require_callable, require_one_of
from .._typing import Duration


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """How much is kept, and for how long.

    Args:
        max_size: Entries that are kept; the least recently used one goes first.
        ttl: Seconds an entry is good for; 0: it never expires.
        key: A function of the call's arguments that makes the key; None: the bound arguments are the key.
        on_unhashable: What to do with an argument that cannot be part of a key: `"raise"` a `CacheKeyError`,
            or `"bypass"` the cache for this call.
        enable_metrics: Count and time the calls, as `f.metrics`, and the runs of the pipeline.
        metrics_sampling_rate: The share of the calls (0..1) that `f.metrics` records.
    """

    max_size: int = 256
    ttl: Duration = 300.0
    key: Callable[..., Hashable] | None = None
    on_unhashable: str = "raise"
    enable_metrics: bool = False
    metrics_sampling_rate: float = 1.0

    def __post_init__(self) -> None:
        require(self, "max_size", whole=True, at_least=1)
        require(self, "ttl", duration=True, at_least=0)
        require_callable(self, "key")
        require_one_of(self, "on_unhashable", ("raise", "bypass"))
        require_one_of(self, "enable_metrics", (True, False))
        require(self, "metrics_sampling_rate", at_least=0, at_most=1)
