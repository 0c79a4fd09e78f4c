"""What the options of the cache cost: nothing on the way of a hit that does not need them, and how much on one that does."""

from __future__ import annotations

from ..contest import Group, Row, Wrap, entrants
from ..equipped import (
    CACHETOOLS_WEIGHED,
    COPIED,
    IDLE,
    PLAIN,
    POLICIES,
    STALE,
    TAGGED,
    VARIED,
    WEIGHED,
    ZONED,
)
from ..subjects import one, one_async
from ..timing import Timed, timed, timed_async
from .metrics import FEWER

HIT = "options, sync hit: `f(1)`"
HIT_ASYNC = "options, async hit: `await f(1)`"
MISS = "options, miss and eviction: `f(new)`"
ORDER = "policies, hit among 1000 entries: `f(i)`"


def _hit(wrap: Wrap) -> Timed:
    return timed("f(1)", f=wrap(one))


def _hit_async(wrap: Wrap) -> Timed:
    return timed_async("f(1)", f=wrap(one_async))


def _miss(wrap: Wrap) -> Timed:
    function = wrap(one, 1000)
    for key in range(-1000, 0):
        function(key)
    return timed("f(i)", copies=1, f=function)


def _among(wrap: Wrap) -> Timed:
    function = wrap(one, 1000)
    for key in range(1000):
        function(key)
    return timed("f(i % 1000)", copies=1, f=function)


GROUP = Group(
    "Options",
    "One option each. Zones: `refresh_ahead`, `stale_while_revalidate`, `stale_if_error` and `soft_timeout`, with a "
    "fresh entry; stale: the entry is past its TTL and handed out. Tags, `copy` and `tti` look at every use of an "
    "entry; zones and policies do not.",
    (
        Row(
            HIT,
            "seconds",
            entrants((PLAIN, ZONED, WEIGHED, *POLICIES, VARIED, IDLE, TAGGED, COPIED, STALE), _hit),
            rounds=FEWER,
        ),
        Row(HIT_ASYNC, "seconds", entrants((PLAIN, ZONED, IDLE, TAGGED, COPIED), _hit_async), rounds=FEWER),
        Row(ORDER, "seconds", entrants((PLAIN, *POLICIES), _among), rounds=FEWER),
        Row(
            MISS,
            "seconds",
            entrants((PLAIN, ZONED, WEIGHED, *POLICIES, TAGGED, CACHETOOLS_WEIGHED), _miss),
            rounds=FEWER,
        ),
    ),
)
