"""What a cache says of an entry, for a reader. Nothing here can be used to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from .keeping import Failure
from .pristine import pristine
from .shelf import Row

PLAIN = 2
"""A plain row is a value and its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """One entry as it is now.

    Args:
        value: The result that is kept; None where that is an error.
        error: The error that is kept.
        state: `"fresh"`, `"ahead"` (fresh, and due to be reloaded), `"stale"` (given out while it is reloaded),
            `"spare"` (given out if the reload fails), or `"gone"`.
        age: Seconds since it was kept; None where nobody counts them: a plain TTL needs no more than its end.
        expires_in: Seconds until its TTL is over, below 0 if it is; None: never.
        weight: What it weighs; 0 where nobody weighs it.
        tags: What it is called.
    """

    value: Any
    error: Exception | None
    state: Literal["fresh", "ahead", "stale", "spare", "gone"]
    age: float | None
    expires_in: float | None
    weight: float
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the last call with some arguments was a miss, as far as that is remembered.

    Args:
        reason: `"cold"`, `"expired"`, `"evicted"`, `"invalidated"`, `"bypassed"` or `"not stored"`.
        detail: More about it, in words.
        cached: Whether there is a fresh result now.
        differs: The only argument in which a call with a fresh result differs from this one; None: there is no such call,
            or the function has no other parameter.
    """

    reason: Literal["cold", "expired", "evicted", "invalidated", "bypassed", "not stored"]
    detail: str = ""
    cached: bool = False
    differs: str | None = None

    def __str__(self) -> str:
        text = f"{self.reason}: {self.detail}" if self.detail else self.reason
        if self.differs is not None:
            text += f"; there is a result for a call that differs in {self.differs!r} alone"
        return f"{text}; cached now" if self.cached else text


def entry_of(row: Row, state: Any, now: float, hand_out: Callable[[Any], Any]) -> CacheEntry:
    """What *row* says to a reader, who gets its value as a caller would."""
    value, until, weight, more = (*row, 0, None) if len(row) == PLAIN else row
    failed = type(value) is Failure
    if more is not None:
        until = more.until
    return CacheEntry(
        value=None if failed else hand_out(value),
        error=pristine(value.error) if failed else None,
        state=state,
        age=None if more is None else now - more.born,
        expires_in=None if until == inf else until - now,
        weight=weight,
        tags=() if more is None else tuple(more.tags or ()),
    )
