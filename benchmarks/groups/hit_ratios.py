"""Which share of its accesses a cache answers, by who is evicted: always the same, as the traces are."""

from __future__ import annotations

from functools import partial

from ..contest import OURS, Contestant, Group, Row, Sample
from ..hit_ratios import OPTIMUM, ORDERS, SIZES, hit_ratio
from ..traces import TRACES


def _name(order: str) -> str:
    return OPTIMUM if order == OPTIMUM else f"{OURS}, {order}"


def _row(share: str, trace: str) -> str:
    return f"hit ratio, cache of {share} of the keys: {trace}"


def _ratio(share: str, trace: str, order: str) -> Sample:
    size = SIZES[share]
    found = hit_ratio(TRACES[trace](size), order, size)
    return lambda _seconds: found


GROUP = Group(
    "Hit ratios",
    "The share of 300,000 accesses that a cache answers which begins empty; 10,000 keys have a popularity. Bélády: the "
    "optimum, which knows what comes. The traces have fixed seeds, and the ratios no spread.",
    tuple(
        Row(
            _row(share, trace),
            "ratio",
            tuple(
                Contestant(_name(order), partial(_ratio, share, trace, order), "ours") for order in (*ORDERS, OPTIMUM)
            ),
            rounds=1,
            once=True,
        )
        for share in SIZES
        for trace in TRACES
    ),
)

SMALL, LARGE = (_row(share, "Zipf 1.0") for share in SIZES)
LOOP = _row("10 %", "loop")
LRU, S3FIFO, TINYLFU = (_name(order) for order in ("lru", "s3fifo", "tinylfu"))
