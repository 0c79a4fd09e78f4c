"""Why a call was a miss."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice
from typing import Any

from .keys import UNKEYED, KeyMaker
from .result_cache import ResultCache
from .views import Explanation

NEAR = 1000
"""Entries that are compared with a call that has none, the latest first."""

DETAILS = {
    "cold": "no earlier call is remembered",
    "expired": "its time was over",
    "evicted": "there was no room",
    "invalidated": "somebody asked for that",
    "bypassed": "the call was made where this cache is bypassed or disabled",
}


def explain(cache: ResultCache, maker: KeyMaker, key: Hashable) -> Explanation:
    """Why the last call of *key* was a miss, as far as that is remembered."""
    if key is UNKEYED:
        return Explanation("bypassed", 'an argument cannot be part of a key, and on_unhashable="bypass" lets it pass')
    line = cache.shelf.ledger.last(key)
    reason: Any = "cold" if line is None else line.reason
    detail = DETAILS.get(reason, "") if line is None or not line.detail else line.detail
    near = _nearest(cache, lambda other: maker.difference(key, other))
    return Explanation(reason, detail, cached=key in cache, differs=near)


def _nearest(cache: ResultCache, difference: Callable[[Hashable], str | None]) -> str | None:
    """The only argument in which a fresh entry differs."""
    now = cache.now()
    for other, row in islice(reversed([*dict.items(cache.shelf.rows)]), NEAR):
        name = difference(other) if cache.is_fresh(row, now) else None
        if name is not None:
            return name
    return None
