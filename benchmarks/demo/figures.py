"""What the statistics page says of the functions, as a small table, and whether it is what we counted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from .scoreboard import Tally

Stats: TypeAlias = Mapping[str, Any]
"""The document at `/stats.json`, or a part of it."""

SHOWN = ("cache_hits", "retries", "timeouts")
"""Families of which a line is shown as `/metrics` has it."""

_TURNS = "pyresilience_circuit_transitions_total"


def count(number: float | None) -> str:
    """A number of things."""
    return "-" if number is None else f"{number:,.0f}"


def percent(ratio: float | None) -> str:
    """A share (0..1) in percent."""
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def duration(seconds: float | None) -> str:
    """Seconds with a unit that leaves one to three digits before the point; hits are known to a factor of 1.6 only."""
    if seconds is None:
        return "-"
    factor, unit = (1e6, "µs") if seconds < 0.9995e-3 else (1e3, "ms")
    return f"{seconds * factor:.2g} {unit}" if seconds * factor < 99.5 else f"{seconds * factor:,.0f} {unit}"


def _of(part: str, name: str, *inner: str, show: Callable[[Any], str] = count) -> Callable[[Stats], str]:
    def read(function: Stats) -> str:
        value = function[part][name]
        for each in inner:
            value = value[each]
        return show(value)

    return read


ROWS: tuple[tuple[str, Callable[[Stats], str]], ...] = (
    ("hit ratio", _of("cache", "hit_ratio", show=percent)),
    ("hits, fresh from the cache", _of("cache", "fresh_hits")),
    ("hits, joined a call under way", _of("cache", "coalesced")),
    ("misses", _of("cache", "misses")),
    ("misses that found an expired entry", _of("cache", "stale_hits")),
    ("p50 of a hit", _of("cache", "hit_latency", "p50", show=duration)),
    ("p99 of a hit, waiting included", _of("cache", "hit_latency", "p99", show=duration)),
    ("p50 of a load", _of("cache", "load_latency", "p50", show=duration)),
    ("p99 of a load", _of("cache", "load_latency", "p99", show=duration)),
    ("runs that gave a product", _of("runs", "success")),
    ("runs that gave the fallback's", _of("runs", "fallback")),
    ("retries", _of("runs", "retries")),
    ("timeouts", _of("runs", "timeouts")),
    ("refused by the circuit breaker", _of("runs", "rejections", "circuit_breaker")),
    ("refused by the rate limiter", _of("runs", "rejections", "rate_limiter")),
    ("refused by the bulkhead", _of("runs", "rejections", "bulkhead")),
)


def figures(stats: Stats, metrics: Sequence[str]) -> Iterator[str]:
    """The table: a column per function, and a few lines of *metrics* as they are."""
    functions = stats["functions"]
    width = max(len(title) for title, _ in ROWS)
    yield "  " + " " * width + "".join(f"  {_name(function):>13}" for function in functions)
    for title, read in ROWS:
        yield f"  {title:<{width}}" + "".join(f"  {read(function):>13}" for function in functions)
    turns = transitions(metrics, functions[0]["function"])
    yield (
        f"The circuit they share became open {turns['open']:,} times, half-open {turns['half_open']:,}, "
        f"closed {turns['closed']:,}."
    )
    yield "Some of the lines at /metrics, as they are:"
    names = tuple(f"pyresilience_{family}_total{{" for family in SHOWN)
    label = f'"{functions[0]["function"]}"'
    yield from (line for line in metrics if line.startswith(names) and label in line)


def _name(function: Stats) -> str:
    return str(function["function"]).rpartition(".")[2]


def transitions(metrics: Sequence[str], label: str) -> dict[str, int]:
    """How often the circuit of the function of that label has become what, as `/metrics` says."""
    found = {}
    for state in ("open", "half_open", "closed"):
        start = f'{_TURNS}{{function="{label}",state="{state}"}} '
        found[state] = next(int(float(line.removeprefix(start))) for line in metrics if line.startswith(start))
    return found


def disagreements(stats: Stats, tally: Tally) -> list[str]:
    """Where the page says other than what callers and listener counted, if anywhere."""
    caches = [function["cache"] for function in stats["functions"]]
    runs = [function["runs"] for function in stats["functions"]]
    pairs = {
        "fresh hits": (sum(cache["fresh_hits"] for cache in caches), tally["hits"]),
        "coalesced hits": (sum(cache["coalesced"] for cache in caches), tally["coalesced"]),
        "misses": (sum(cache["misses"] for cache in caches), tally["misses"]),
        "retries": (sum(run["retries"] for run in runs), tally["retries"]),
        "timeouts": (sum(run["timeouts"] for run in runs), tally["timeouts"]),
        "refusals of the circuit breaker": (
            sum(run["rejections"]["circuit_breaker"] for run in runs),
            tally["circuit"],
        ),
        "refusals of the rate limiter": (sum(run["rejections"]["rate_limiter"] for run in runs), tally["limiter"]),
        "refusals of the bulkhead": (sum(run["rejections"]["bulkhead"] for run in runs), tally["bulkhead"]),
    }
    return [
        f"the page tells of {said:,} {what}, we counted {counted:,}"
        for what, (said, counted) in pairs.items()
        if said != counted
    ]
