"""The figures as Markdown: one table per group, and one of the targets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from .contest import OURS, Group, Row, Unit
from .groups import ROWS
from .summary import Score, ratio, spread
from .targets import Target

NOTHING = "–"  # noqa: RUF001 - a dash is meant
TIMES = "×"  # noqa: RUF001 - the sign is meant
_SIZES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_LONGEST = 80
"""Letters of an error that fit into a table."""


def report(
    groups: Iterable[Group],
    targets: Sequence[Target],
    scores: Mapping[str, Mapping[str, Score]],
    facts: Mapping[str, str],
) -> str:
    """Everything that was measured."""
    parts = ["\n".join(f"- {label}: {fact}" for label, fact in facts.items())]
    for group in groups:
        rows = [row for row in group.rows if row.name in scores]
        if rows:
            parts.append(f"### {group.title}\n\n{group.note}\n\n{_table_of(rows, scores)}")
    parts.append(f"### Targets\n\n{targets_table(targets, scores)}")
    return "\n\n".join(parts) + "\n"


def _table_of(rows: Sequence[Row], scores: Mapping[str, Mapping[str, Score]]) -> str:
    columns = list(dict.fromkeys(contestant.name for row in rows for contestant in row.contestants))
    lines = [[row.name, *(cell(row, name, scores[row.name]) for name in columns)] for row in rows]
    return table(["measure", *columns], lines)


def targets_table(targets: Sequence[Target], scores: Mapping[str, Mapping[str, Score]]) -> str:
    """What was to be reached, and what was."""
    lines = []
    for target in targets:
        figure = target.measured(scores)
        shown = "not measured" if figure is None else _figure(target, figure)
        verdict = NOTHING if figure is None else "yes" if target.reached(figure) else "**no**"
        who = "" if target.of == OURS else f" ({target.of})"
        lines.append([target.row + who, goal(target), shown, verdict])
    return table(["measure", "target", "measured", "reached"], lines)


def goal(target: Target) -> str:
    """The limit of *target* in words."""
    if target.times is not None:
        return f"≤ {target.at_most:g} {TIMES} {target.times}"
    if target.faster_than is not None:
        return f"≥ {target.at_least:g} {TIMES} faster than {target.faster_than}"
    unit = ROWS[target.row].unit
    if target.at_most is not None and target.at_most == target.at_least:
        return f"exactly {value(target.at_most, unit)}"
    if target.at_most is not None:
        return f"≤ {value(target.at_most, unit)}"
    return f"≥ {value(target.at_least or 0.0, unit)}"


def _figure(target: Target, figure: float) -> str:
    if target.times is not None or target.faster_than is not None:
        return f"{figure:.2f} {TIMES}"
    return value(figure, ROWS[target.row].unit)


def cell(row: Row, name: str, scores: Mapping[str, Score]) -> str:
    """One contestant's figure, its spread, and how much it is of ours; or why there is none."""
    score = scores.get(name)
    if score is None:
        return NOTHING
    if score.failed is not None:
        return f"failed: {_one_line(score.failed)}"
    if row.worst:
        return value(max(score.samples), row.unit)
    text = value(median(score.samples), row.unit)
    if row.unit in ("seconds", "share"):
        text += f" ± {spread(score.samples):.0%}"
    ours = scores.get(OURS)
    if row.unit in ("share", "ratio") or name == OURS or ours is None or ours.failed is not None:
        return text
    return f"{text} ({_times(ratio(score, ours))})"


def value(figure: float, unit: Unit) -> str:
    """*figure* with its unit, three digits of it."""
    if unit == "share":
        return f"{figure:.0%}"
    if unit == "ratio":
        return f"{figure:.1%}"
    if unit == "runs":
        return f"{figure:.0f} run" if round(figure) == 1 else f"{figure:.0f} runs"
    if unit == "bytes":
        return f"{figure:.0f} bytes"
    size, name = next(((size, name) for size, name in _SIZES if abs(figure) >= size * 0.9995), _SIZES[-1])
    return f"{_digits(figure / size)} {name}"


def _times(multiple: float) -> str:
    return f"{_digits(multiple)} {TIMES}"


def _digits(number: float) -> str:
    """Three digits and no exponent, fewer where they say it all."""
    if abs(number - round(number)) < 1e-9:  # a limit, and not a measurement
        return str(round(number))
    size = abs(number)
    if size < 0.1:
        return f"{number:.1g}"
    return f"{number:.0f}" if size >= 99.95 else f"{number:.1f}" if size >= 9.995 else f"{number:.2f}"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; figures stand to the right of their columns."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))


def _one_line(text: str) -> str:
    """*text* without what would break a table."""
    text = " ".join(text.split()).replace("|", "/")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
