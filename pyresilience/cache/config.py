"""The settings of a cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .._settings import (
    require,
    require_callable,
    require_each,
    require_errors,
    require_one_of,
    require_size,
)
from .._typing import Duration, ErrorClasses

Lifetime: TypeAlias = "Duration | Callable[[Any], Duration | None]"
Tags: TypeAlias = "Sequence[str] | Callable[..., Sequence[str]]"
Variable: TypeAlias = "ContextVar[Any] | Callable[[], Any]"

POLICIES = ("lru", "s3fifo", "sieve", "tinylfu")


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """What is kept, how much of it, for how long, and what a caller gets meanwhile.

    Args:
        max_size: Entries that are kept.
        ttl: Seconds an entry is good for; 0: it never expires. Or a function of the result that returns them: then
            0, less, or None means that this result is not kept.
        key: A function of the call's arguments that makes the key; None: the bound arguments are the key.
        on_unhashable: What to do with an argument that cannot be part of a key: `"raise"` a `CacheKeyError`,
            or `"bypass"` the cache for this call.
        enable_metrics: Count and time the calls, as `f.metrics`, and the runs of the pipeline.
        metrics_sampling_rate: The share of the calls (0..1) that `f.metrics` records.
        refresh_ahead: The fraction of its TTL (between 0 and 1) after which an entry in use is reloaded in the
            background; None: it is not.
        stale_while_revalidate: Seconds after its TTL in which an entry is still given out, while one reload runs in
            the background (RFC 5861).
        stale_if_error: Seconds after its TTL in which an entry stands in for a result that cannot be had (RFC 5861).
        stale_on: The errors it stands in for.
        reload_cooldown: Seconds after a failed reload in which callers that have an old result do not try again.
        soft_timeout: Seconds a caller waits for a reload when there is an old result it can have instead; the reload
            goes on and is kept. None: it waits.
        max_reloads: Reloads that run in the background at once.
        wait_timeout: Seconds a caller waits for another that computes the same; None: as long as that takes.
        on_wait_timeout: What it does then: `"compute"` itself, take a `"stale"` result if there is one (or compute), or
            `"raise"` a `ResilienceTimeoutError`.
        jitter: What is added to each TTL at random, so that entries do not expire together: at most this fraction of it
            (a number up to 1), or this time (a larger number, a `timedelta`, or text).
        early_beta: How eagerly an entry is reloaded before its time, at random, the sooner the longer its result took
            to compute; 1 suits most, 0 is off. This is XFetch: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic
            Cache Stampede Prevention", VLDB 2015.
        tti: Seconds after which an entry that nobody asked for expires; 0: it does not.
        cache_if: Tells of a result whether to keep it; None: all are kept.
        cache_exceptions: Errors that are results, too: kept for *negative_ttl*, and raised again.
        negative_ttl: Seconds such an error is good for.
        max_weight: What all entries together may weigh, as a number or a size such as `"64MB"`; None: anything.
        weigher: Tells the weight of a result; None: the bytes it takes, about.
        max_entry_weight: What a single result may weigh to be kept; None: anything.
        policy: Who leaves when there is no room: `"lru"`, `"s3fifo"`, `"sieve"` or `"tinylfu"`. Expired ones go first.
        tags: What each entry is called for `invalidate_tag`: names, in which `{parameter}` stands for an argument; or a
            function of the call's arguments and `result=` that returns them. None: there are no tags.
        ignore: Parameters that are not part of the key.
        vary: Context variables, and functions of no argument, whose values are part of the key.
        version: Stands in every key: results of another version are not found.
        copy: What callers get: `"none"`, the very result that is kept; a `"shallow"` or `"deep"` copy; or what a function
            makes of it.
    """

    max_size: int = 256
    ttl: Lifetime = 300.0
    key: Callable[..., Hashable] | None = None
    on_unhashable: Literal["raise", "bypass"] = "raise"
    enable_metrics: bool = False
    metrics_sampling_rate: float = 1.0
    refresh_ahead: float | None = None
    stale_while_revalidate: Duration = 0.0
    stale_if_error: Duration = 0.0
    stale_on: ErrorClasses = (Exception,)
    reload_cooldown: Duration = 1.0
    soft_timeout: Duration | None = None
    max_reloads: int = 8
    wait_timeout: Duration | None = None
    on_wait_timeout: Literal["compute", "stale", "raise"] = "compute"
    jitter: Duration = 0.0
    early_beta: float = 0.0
    tti: Duration = 0.0
    cache_if: Callable[[Any], object] | None = None
    cache_exceptions: ErrorClasses = ()
    negative_ttl: Duration = 5.0
    max_weight: float | str | None = None
    weigher: Callable[[Any], float] | None = None
    max_entry_weight: float | str | None = None
    policy: Literal["lru", "s3fifo", "sieve", "tinylfu"] = "lru"
    tags: Tags | None = None
    ignore: Sequence[str] = ()
    vary: Sequence[Variable] = ()
    version: str = ""
    copy: Literal["none", "shallow", "deep"] | Callable[[Any], Any] = "none"

    def __post_init__(self) -> None:
        require(self, "max_size", whole=True, at_least=1)
        require_one_of(self, "enable_metrics", (True, False))
        require(self, "metrics_sampling_rate", at_least=0, at_most=1)
        require_one_of(self, "policy", POLICIES)
        self._check_times()
        self._check_results()
        self._check_keys()
        if self.soft_timeout is not None and not (self.stale_while_revalidate or self.stale_if_error):
            raise ValueError(
                "CacheConfig: soft_timeout needs an old result to answer with: "
                "give stale_if_error or stale_while_revalidate as well"
            )

    def _check_times(self) -> None:
        """How long results are good for, and callers wait."""
        if self.ttl is None:
            takes = (
                "a number of seconds, a timedelta or text such as '5m' (0: without end), or a function of the result"
            )
            raise TypeError(f"CacheConfig: ttl must be {takes}, got None")
        if not callable(self.ttl):
            require(self, "ttl", duration=True, at_least=0)
        if self.refresh_ahead is not None:
            require(self, "refresh_ahead", above=0, below=1)
        for field in ("stale_while_revalidate", "stale_if_error", "reload_cooldown", "tti"):
            require(self, field, duration=True, at_least=0)
        for field in ("soft_timeout", "wait_timeout"):
            if getattr(self, field) is not None:
                require(self, field, duration=True, at_least=0)
        require(self, "negative_ttl", duration=True, above=0)
        require_one_of(self, "on_wait_timeout", ("compute", "stale", "raise"))
        require(self, "max_reloads", whole=True, at_least=1)
        require(self, "early_beta", at_least=0)
        self._check_jitter()

    def _check_results(self) -> None:
        """Which results are kept, how much of them, and what callers get."""
        for field in ("stale_on", "cache_exceptions"):
            require_errors(self, field)
        for field in ("cache_if", "weigher"):
            require_callable(self, field)
        for field in ("ttl", "tags", "copy"):
            if callable(getattr(self, field)):
                require_callable(self, field)
        for field in ("max_weight", "max_entry_weight"):
            if getattr(self, field) is not None:
                require_size(self, field)
        if not callable(self.copy):
            require_one_of(self, "copy", ("none", "shallow", "deep"))

    def _check_keys(self) -> None:
        """What results are called."""
        require_callable(self, "key")
        require_one_of(self, "on_unhashable", ("raise", "bypass"))
        if self.tags is not None and not callable(self.tags):
            require_each(self, "tags", lambda each: isinstance(each, str), "names of tags, or a function")
        require_each(self, "ignore", lambda each: isinstance(each, str), "names of parameters")
        require_each(
            self, "vary", lambda each: isinstance(each, ContextVar) or callable(each), "context variables or functions"
        )
        if not isinstance(self.version, str):
            raise TypeError(f"CacheConfig: version must be text, got {self.version!r}")
        if self.key is not None and self.ignore:
            raise ValueError("CacheConfig: ignore must be empty where key is given, which takes what it wants")

    def _check_jitter(self) -> None:
        """Check it, and leave it as it is: as seconds, half a second could be taken for a half."""
        given = self.jitter
        require(self, "jitter", duration=True, at_least=0)
        object.__setattr__(self, "jitter", given)
