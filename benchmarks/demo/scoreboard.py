"""What happened, counted once per call, and the table of it. Pure: no clock, no printing.

A call's facts are kept with the call and counted together when it ends. So every row of the table adds up by itself,
and a call that Ctrl-C cuts off is in no column at all.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from pyresilience import EventType, ResilienceEvent

_facts: ContextVar[list[str]] = ContextVar("demo_facts")

FACTS = {
    EventType.CACHE_MISS: "misses",
    EventType.RETRY: "retries",
    EventType.TIMEOUT: "timeouts",
    EventType.CIRCUIT_OPEN: "openings",
    EventType.CIRCUIT_REJECTED: "circuit",
    EventType.RATE_LIMITED: "limiter",
    EventType.BULKHEAD_REJECTED: "bulkhead",
    EventType.FALLBACK_USED: "fallbacks",
}
"""What an event is counted as; a cache hit says itself which of two kinds it is."""

OUTCOMES = ("good", "old", "none", "errors")
"""What a caller gets: the product, the product as last seen, nothing but a stand-in, or an exception."""


@dataclass(slots=True)
class Tally:
    """Counts of facts, and how long each call took, in seconds."""

    counts: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)

    def __getitem__(self, fact: str) -> int:
        return self.counts[fact]

    def quantile(self, share: float) -> float | None:
        """The time within which *share* of the calls ended; None: there were none."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them in one."""
    whole = Tally()
    for each in tallies:
        whole.counts.update(each.counts)
        whole.took.extend(each.took)
    return whole


def doubts(tally: Tally, *, cached: bool) -> list[str]:
    """Which sums do not come out, if any; *cached*: every call looked into a cache."""
    sums = {"what callers got": sum(tally[outcome] for outcome in OUTCOMES)}
    if cached:
        sums["hits, coalesced and misses"] = tally["hits"] + tally["coalesced"] + tally["misses"]
    return [f"{what} make {got}, not {tally['calls']} calls" for what, got in sums.items() if got != tally["calls"]]


class Scoreboard:
    """Takes the events as a listener, and the ends of the calls from those who make them."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._lock = threading.Lock()

    @staticmethod
    def notebook() -> list[str]:
        """Where this thread or task notes the facts of its call in hand; to be emptied before each call."""
        facts: list[str] = []
        _facts.set(facts)
        return facts

    @staticmethod
    def listen(event: ResilienceEvent) -> None:
        """Note an event with the call it belongs to: a listener runs in the caller's own thread or task."""
        if event.event_type is EventType.CACHE_HIT:
            _facts.get().append("coalesced" if getattr(event, "source", "") == "coalesced" else "hits")
        elif event.event_type in FACTS:
            _facts.get().append(FACTS[event.event_type])

    def ended(self, outcome: str, facts: list[str], took: float) -> None:
        """Count a call: its *outcome* is one of `OUTCOMES`."""
        with self._lock:
            counts = self._tally.counts
            counts["calls"] += 1
            counts[outcome] += 1
            for fact in facts:
                counts[fact] += 1
            self._tally.took.append(took)

    def turn(self) -> Tally:
        """What was counted since the last turn."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
        return tally


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    at: float
    phase: str
    circuit: str
    requests: int
    tally: Tally


Cell = Callable[[Row], str]


def count(number: int) -> str:
    """A number for a narrow column; nothing to see is a dot."""
    return str(number) if number else "·"


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds, to three digits."""
    if seconds is None:
        return "·"
    value = seconds * 1000
    digits = 3 if value < 0.1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _of(fact: str) -> Cell:
    return lambda row: count(row.tally[fact])


def _within(share: float) -> Cell:
    return lambda row: milliseconds(row.tally.quantile(share))


def _at(row: Row) -> str:
    return f"{row.at:.0f}" if row.at == int(row.at) else f"{row.at:.1f}"


Column = tuple[str, int, Cell]

"""A title, a width (negative: text, to the left) and what stands in it."""

Groups = tuple[tuple[str, tuple[Column, ...]], ...]

GUARDED: Groups = (
    ("", (("s", 4, _at), ("upstream", -8, lambda row: row.phase), ("calls", 5, _of("calls")))),
    ("cache", (("hit", 5, _of("hits")), ("join", 4, _of("coalesced")), ("miss", 4, _of("misses")))),
    (
        "upstream",
        (("reqs", 4, lambda row: count(row.requests)), ("retry", 5, _of("retries")), ("late", 4, _of("timeouts"))),
    ),
    ("", (("circuit", -9, lambda row: row.circuit),)),
    ("refused by", (("circ", 4, _of("circuit")), ("rate", 4, _of("limiter")), ("bulk", 4, _of("bulkhead")))),
    ("callers got", (("old", 4, _of("old")), ("none", 4, _of("none")), ("error", 5, _of("errors")))),
    ("ms", (("p50", 5, _within(0.50)), ("p99", 5, _within(0.99)))),
)
"""The table of a run with the library: groups of columns, each with its title."""

BARE: Groups = (
    GUARDED[0],
    ("upstream", (("requests", 10, lambda row: count(row.requests)),)),
    ("callers got", (("error", 13, _of("errors")),)),
    ("ms", (("p50", 5, _within(0.50)), ("p99", 5, _within(0.99)))),
)
"""The table of a run without."""

COLOURS = {"healthy": 32, "closed": 32, "slow": 33, "half-open": 33, "outage": 31, "open": 31}
"""ANSI colours of the words that say how things stand."""


def heading(groups: Groups) -> str:
    """The two lines above the rows."""
    upper = [_over(title, len(_side_by_side(columns, _title))) for title, columns in groups]
    lower = [_side_by_side(columns, _title) for _, columns in groups]
    return f"{'  '.join(upper).rstrip()}\n{'  '.join(lower).rstrip()}"


def line(row: Row, groups: Groups, *, colour: bool = False) -> str:
    """One row of the table."""

    def cell(column: Column) -> str:
        text = column[2](row)
        padded = _padded(text, column[1])
        return f"\033[{COLOURS[text]}m{padded}\033[0m" if colour and text in COLOURS else padded

    return "  ".join(_side_by_side(columns, cell) for _, columns in groups).rstrip()


def _side_by_side(columns: tuple[Column, ...], cell: Callable[[Column], str]) -> str:
    return " ".join(cell(column) for column in columns)


def _title(column: Column) -> str:
    return _padded(column[0], column[1])


def _padded(text: str, width: int) -> str:
    return text.ljust(-width) if width < 0 else text.rjust(width)


def _over(title: str, width: int) -> str:
    return f" {title} ".center(width, "-") if title else " " * width
