"""The closing words: what the run came to, and the two runs side by side. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from .play import Run
from .scoreboard import Tally, milliseconds


def share(part: int, whole: int) -> str:
    """*part* of *whole*, in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def ratio(part: int, whole: int) -> str:
    """*part* for each of *whole*."""
    return f"{part / whole:.3f}" if whole else "-"


def summary(run: Run) -> Iterator[str]:
    """What the run with the library came to."""
    tally, requests = run.tally(), run.requests()
    calls = tally["calls"]
    yield f"{calls:,} calls in {run.seconds:.1f} s. Each looked into the cache first:"
    yield from _parts(
        calls,
        ("hit", tally["hits"], "answered from the cache"),
        ("join", tally["coalesced"], "waited for a call for that product, under way"),
        ("miss", tally["misses"], "went on into the pipeline"),
    )
    yield "What the callers got:"
    yield from _parts(
        calls,
        ("fresh", tally["good"], "the product, as the service gave it within the TTL"),
        ("old", tally["old"], "the product as it was last seen, from the fallback"),
        ("none", tally["none"], "the fallback's stand-in: the product was never seen"),
        ("error", tally["errors"], "an exception"),
    )
    saved = max(calls - requests, 0)
    yield f"Upstream: {requests:,} requests by its own count, so {saved:,} ({share(saved, calls)}) were saved."
    yield "What the stages did:"
    yield from _lines(
        (tally["retries"], "times retry made another attempt"),
        (tally["openings"], "times the circuit opened, failed probes included"),
        (tally["circuit"], "attempts refused by the circuit breaker"),
        (tally["limiter"], "attempts refused by the rate limiter"),
        (tally["bulkhead"], "attempts refused by the bulkhead"),
        (tally["timeouts"], "attempts ended by the timeout"),
    )
    yield from _outage(run)


def _outage(run: Run) -> Iterator[str]:
    tally = run.tally("outage")
    calls = tally["calls"]
    if not calls:
        return
    well = tally["good"] + tally["old"]
    half, most = (milliseconds(tally.quantile(each)) for each in (0.50, 0.99))
    yield f"In the {run.length('outage'):.1f} s of the outage {share(well, calls)} of the calls were answered well:"
    yield from _parts(
        calls,
        ("fresh", tally["good"], "still in the cache, or fetched just before"),
        ("old", tally["old"], "from the fallback"),
        ("none", tally["none"], "never seen before the outage"),
        ("error", tally["errors"], "an exception"),
    )
    yield f"Half of these calls took at most {half} ms, 99 of 100 at most {most} ms."


def _parts(whole: int, *parts: tuple[str, int, str]) -> Iterator[str]:
    for name, number, what in parts:
        yield f"  {number:>8,}  {share(number, whole):>7}  {name:<6} {what}"
    yield f"  {whole:>8,}  {share(whole, whole):>7}  in all"


def _lines(*parts: tuple[int, str]) -> Iterator[str]:
    for number, what in parts:
        yield f"  {number:>8,}  {what}"


@dataclass(frozen=True, slots=True)
class View:
    """A run as a whole, or one phase of it."""

    tally: Tally
    requests: int
    seconds: float
    peak: int | None

    @classmethod
    def of(cls, run: Run, phase: str | None = None) -> Self:
        """The view of *phase* of a run; None: of all. The peak is known of the whole only."""
        seconds, peak = (run.seconds, run.peak) if phase is None else (run.length(phase), None)
        return cls(run.tally(phase), run.requests(phase), seconds, peak)

    def per_second(self, number: int) -> str:
        """A number as a rate."""
        return f"{number / self.seconds:,.0f}" if self.seconds else "-"

    def got(self, outcome: str) -> str:
        """The share of the calls that ended so."""
        return share(self.tally[outcome], self.tally["calls"])

    def within(self, part: float) -> str:
        """The time that *part* of the calls took at most."""
        return f"{milliseconds(self.tally.quantile(part))} ms"


MEASURES: tuple[tuple[str, Callable[[View], str]], ...] = (
    ("measured for", lambda view: f"{view.seconds:.1f} s"),
    ("calls per second", lambda view: view.per_second(view.tally["calls"])),
    ("upstream requests per second", lambda view: view.per_second(view.requests)),
    ("upstream requests per call", lambda view: ratio(view.requests, view.tally["calls"])),
    ("most requests open at the upstream", lambda view: "-" if view.peak is None else str(view.peak)),
    ("calls that got the fresh product", lambda view: view.got("good")),
    ("calls that got the old product", lambda view: view.got("old")),
    ("calls that got a stand-in", lambda view: view.got("none")),
    ("calls that got an error", lambda view: view.got("errors")),
    ("p50 of a call", lambda view: view.within(0.50)),
    ("p99 of a call", lambda view: view.within(0.99)),
)


def side_by_side(guarded: Run, bare: Run) -> Iterator[str]:
    """Both runs in one small table: as a whole, and in the outage."""
    views = [View.of(run, phase) for phase in (None, "outage") for run in (guarded, bare)]
    width = max(len(name) for name, _ in MEASURES)
    yield f"{'':<{width}}  {' whole run ':-^21}  {' in the outage ':-^21}"
    yield f"{'':<{width}}" + f"  {'with it':>10} {'without':>10}" * 2
    for name, measure in MEASURES:
        cells = [f"{measure(view):>10}" for view in views]
        yield f"{name:<{width}}  {' '.join(cells[:2])}  {' '.join(cells[2:])}"
