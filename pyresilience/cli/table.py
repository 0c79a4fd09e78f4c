"""The table of functions: what stands in it, and how much of it fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .units import count, latency, percent, safe, shortened, size, width

Figures: TypeAlias = Mapping[str, Any]

GAP = 2
"""Spaces between two columns."""
NAME_ROOM = 20
"""Columns of the screen that names are left, on all but the narrowest, before there is room for figures."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: What `--sort` calls it.
        title: What stands above it.
        rank: When the screen is narrow, high ranks go first.
        value: What is sorted by.
        text: What is shown.
        rare: Whether it is left out where no function has a number in it: what comes of options that few use.
    """

    name: str
    title: str
    rank: int
    value: Callable[[Figures], Any]
    text: Callable[[Any], str]
    rare: bool = False


def number(figures: Figures, *path: str) -> float | None:
    """The number that is found by going down *path*; None: there is none."""
    found: Any = figures
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    sound = isinstance(found, (int, float)) and not isinstance(found, bool) and math.isfinite(found)
    return found if sound else None


def calls(function: Figures) -> float | None:
    """Calls of a function; of one without a cache, its runs."""
    cached = number(function, "cache", "calls")
    return runs(function, "success", "failure", "rejected", "fallback") if cached is None else cached


def runs(function: Figures, *outcomes: str) -> float | None:
    """Runs that ended in one of *outcomes*; None: nobody counts."""
    found = [each for outcome in outcomes if (each := number(function, "runs", outcome)) is not None]
    return sum(found) if found else None


def circuit(function: Figures) -> str | None:
    """The state of a function's circuit; None: it has none."""
    found = function.get("circuit")
    state = found.get("state") if isinstance(found, Mapping) else None
    return state if isinstance(state, str) else None


def _load(function: Figures, quantile: str) -> float | None:
    """Of a function without a cache, how long its runs take."""
    loads = number(function, "cache", "load_latency", quantile)
    return number(function, "runs", "latency", quantile) if loads is None else loads


def _cache(*path: str) -> Callable[[Figures], float | None]:
    return lambda function: number(function, "cache", *path)


def _circuit_text(state: str | None) -> str:
    return "-" if state is None else safe(state).replace("_", "-")[:12]


COLUMNS = (
    Column("function", "FUNCTION", 0, lambda function: function["function"], safe),
    Column("calls", "CALLS", 1, calls, count),
    Column("hit-ratio", "HIT%", 2, _cache("hit_ratio"), percent),
    Column("fresh", "FRESH", 8, _cache("fresh_hits"), count),
    Column("coalesced", "COAL", 9, _cache("coalesced"), count),
    Column("stale-served", "OLD", 3, _cache("stale_served"), count, rare=True),
    Column("stale", "STALE", 10, _cache("stale_hits"), count),
    Column("wait-timeouts", "WAITED", 13, _cache("wait_timeouts"), count, rare=True),
    Column("recalculations", "LOADS", 18, _cache("recalculations"), count),
    Column("hit-p50", "HIT50", 12, _cache("hit_latency", "p50"), latency),
    Column("hit-p99", "HIT99", 7, _cache("hit_latency", "p99"), latency),
    Column("load-p50", "LOAD50", 11, lambda function: _load(function, "p50"), latency),
    Column("load-p99", "LOAD99", 4, lambda function: _load(function, "p99"), latency),
    Column("entries", "ENTRIES", 5, _cache("entries"), count),
    Column("bytes", "BYTES", 15, _cache("bytes"), size),
    Column("too-large", "TOO.LARGE", 14, _cache("size_limit_rejections"), count, rare=True),
    Column("evicted-size", "EV.SIZE", 13, _cache("evictions", "size"), count),
    Column("evicted-expired", "EV.TTL", 14, _cache("evictions", "expired"), count),
    Column("evicted-invalidated", "EV.INV", 16, _cache("evictions", "invalidated"), count),
    Column("reloading", "RELOADS", 18, _cache("reloading"), count, rare=True),
    Column("reloads-failed", "REL.FAIL", 6, _cache("reload_failures"), count, rare=True),
    Column("retries", "RETRIES", 17, lambda function: runs(function, "retries"), count),
    Column("failed", "FAILED", 6, lambda function: runs(function, "failure", "rejected"), count),
    Column("circuit", "CIRCUIT", 3, circuit, _circuit_text),
)
BY_NAME = {column.name: column for column in COLUMNS}
_BADNESS = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class Layout:
    """What fits on the screen.

    Args:
        columns: The columns, in the order they stand in.
        widths: How wide each is.
        cells: The rows.
        hidden: Rows that there is no room for.
    """

    columns: list[Column]
    widths: list[int]
    cells: list[list[str]]
    hidden: int

    def lines(self) -> list[str]:
        """Title, rows and what is left out, as plain text."""
        rows = [[column.title for column in self.columns], *self.cells]
        text = [(" " * GAP).join(map(_set, row, self.widths, range(len(row)))).rstrip() for row in rows]
        return [*text, *([f"and {self.hidden} more"] if self.hidden else [])]


def ordered(functions: Sequence[Figures], by: str, *, reverse: bool = False) -> list[Figures]:
    """*functions* by the column *by*: the largest and the worst first, names from A on; what has no figure last."""
    value = BY_NAME[by].value
    named = sorted(functions, key=lambda function: str(function["function"]))
    some = [function for function in named if value(function) is not None]
    none = [function for function in named if value(function) is None]
    if by == "circuit":
        some.sort(key=lambda function: -_BADNESS.get(str(value(function)), -1), reverse=reverse)
    else:
        some.sort(key=value, reverse=reverse if by == "function" else not reverse)
    return some + none


def layout(functions: Sequence[Figures], columns: int, rows: int | None = None) -> Layout:
    """As much of *functions*, in their order, as goes on a screen of *columns* and *rows* (None: any number)."""
    shown = functions if rows is None or len(functions) <= rows else functions[: max(rows - 1, 1)]
    table = {column.name: [column.text(column.value(function)) for function in shown] for column in COLUMNS}
    needs = {name: max([width(BY_NAME[name].title), *map(width, texts)]) for name, texts in table.items()}
    room = max(columns, 1)
    names = min(needs["function"], max(min(NAME_ROOM, room // 2), room // 3, 1))
    left, kept = room - names, {"function"}
    wanted = [each for each in COLUMNS[1:] if not (each.rare and all(not each.value(function) for function in shown))]
    for column in sorted(wanted, key=lambda column: column.rank):
        if left < needs[column.name] + GAP:
            break
        left -= needs[column.name] + GAP
        kept.add(column.name)
    needs["function"] = min(needs["function"], names + left)
    table["function"] = [shortened(text, needs["function"]) for text in table["function"]]
    chosen = [column for column in COLUMNS if column.name in kept]
    cells = [list(row) for row in zip(*(table[column.name] for column in chosen), strict=True)]
    return Layout(chosen, [needs[column.name] for column in chosen], cells, len(functions) - len(shown))


def _set(text: str, room: int, place: int) -> str:
    """*text* in its column: names to the left, figures to the right."""
    text = shortened(text, room)
    fill = " " * max(0, room - width(text))
    return text + fill if place == 0 else fill + text


def headline(figures: Figures) -> str:
    """All functions in one line."""
    functions = figures["functions"]
    total = sum(calls(each) or 0 for each in functions)
    hits = sum(number(each, "cache", "hits") or 0 for each in functions)
    old = sum(number(each, "cache", "stale_served") or 0 for each in functions)
    cached = sum(number(each, "cache", "calls") or 0 for each in functions)
    opened = sum(circuit(each) == "open" for each in functions)
    window = number(figures, "window")
    parts = [
        "1 function" if len(functions) == 1 else f"{len(functions)} functions",
        "1 call" if total == 1 else f"{count(total)} calls",
        f"{percent(hits / cached if cached else None)} hits",
        f"{percent(old / cached)} old" if old and cached else "",
        "no open circuit" if not opened else f"{opened} OPEN CIRCUIT{'S' if opened > 1 else ''}",
        "since the start" if window is None else f"the last {window:g} s",
        safe(str(figures.get("timestamp", "")))[:20],
    ]
    return ", ".join(filter(None, parts))
