"""What metrics cost the calls that they are of: per hit, per write, per run."""

from __future__ import annotations

from functools import partial

from ..contest import Group, Row, Sample, Wrap, entrants
from ..metered import AIOCACHE, CACHIER, EVERY_RATE, OFF_AND_ON, STAGES_OFF_AND_ON
from ..subjects import one, one_async, three
from ..timing import Timed, timed, timed_async
from .threads import shared_work

HIT = "metrics, sync hit: `f(1)`"
HIT_THREE = "metrics, sync hit: `f(1, 2, third=3)`"
HIT_ASYNC = "metrics, async hit: `await f(1)`"
HIT_THREADS = "metrics, 8 threads on 1000 hot keys, share of one thread's throughput"
RUN = "metrics, four stages without a cache, sync"

WRITES = {entries: f"metrics, write among {entries:,} entries: `f(new)`" for entries in (100, 10_000, 100_000)}
GROWTH = "metrics, write among 100,000 entries, share of one among 100"
INSERTS = "metrics, 2000 inserts"

FEWER = 10
"""Samples per pass where no small difference is looked for, so that a whole run takes no longer than it must."""

_INSERTS = 2000


def _hit(wrap: Wrap) -> Timed:
    return timed("f(1)", f=wrap(one))


def _hit_three(wrap: Wrap) -> Timed:
    return timed("f(1, 2, third=3)", f=wrap(three))


def _hit_async(wrap: Wrap) -> Timed:
    return timed_async("f(1)", f=wrap(one_async))


def _write(wrap: Wrap, entries: int) -> Timed:
    """Every call brings a new key into a full cache of so many entries, and another one goes."""
    function = wrap(one, entries)
    for key in range(-entries, 0):
        function(key)
    return timed("f(i)", copies=1, f=function)


def _growth(wrap: Wrap) -> Sample:
    small, large = _write(wrap, 100), _write(wrap, 100_000)
    return lambda seconds: large(seconds / 2) / small(seconds / 2)


def _inserts(wrap: Wrap) -> Timed:
    """Seconds from the decoration until so many results are kept."""

    def fill() -> None:
        function = wrap(one, _INSERTS)
        for key in range(_INSERTS):
            function(key)

    return timed("fill()", copies=1, fill=fill)


CALLS = Group(
    "Metrics: calls",
    "The same calls with and without `enable_metrics`; 10 % is `metrics_sampling_rate=0.1`. Four stages: a run of the "
    "pipeline with and without `PipelineMetrics` among its listeners. cachier, the best-known cache decorator with "
    "metrics in its repository, has them in no release: it is measured without. The plugins of aiocache count hits "
    "and time every operation.",
    (
        Row(HIT, "seconds", entrants((*EVERY_RATE, CACHIER), _hit)),
        Row(HIT_THREE, "seconds", entrants((*EVERY_RATE, CACHIER), _hit_three)),
        Row(HIT_ASYNC, "seconds", entrants((*EVERY_RATE, *AIOCACHE), _hit_async)),
        Row(RUN, "seconds", entrants(STAGES_OFF_AND_ON, _hit), rounds=FEWER),
        Row(HIT_THREADS, "share", entrants(OFF_AND_ON, shared_work), rounds=6, threaded=True),
    ),
)

WRITING = Group(
    "Metrics: writes",
    "Every call has a key that never came before, and the cache is full: with metrics, entries, bytes and evictions "
    "are counted as well. 2000 inserts: from the decoration until 2000 results are kept. A cache of 100,000 entries "
    "leaves the caches of the processor, with metrics or without.",
    (
        *(
            Row(name, "seconds", entrants(OFF_AND_ON, partial(_write, entries=entries)), rounds=FEWER)
            for entries, name in WRITES.items()
        ),
        Row(GROWTH, "share", entrants(OFF_AND_ON, _growth), rounds=FEWER),
        Row(INSERTS, "seconds", entrants((*EVERY_RATE, CACHIER), _inserts), rounds=FEWER),
    ),
)
