"""`python -m benchmarks`: measure, print the report, write it where the documentation includes it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

from . import machine, namesake
from .groups import GROUPS
from .report import report
from .rounds import FULL, QUICK, run
from .targets import TARGETS

TABLE = namesake.ROOT / "docs" / "reference" / "benchmark-table.md"
_MADE = "<!-- Made by `make bench`; do not edit. -->\n\n"


def main() -> None:
    """Run what was asked for. Figures never make it fail."""
    asked = _arguments()
    words = asked.only.lower()
    rows = [row for group in GROUPS for row in group.rows if words in f"{group.title}: {row.name}".lower()]
    if not rows:
        sys.exit(f"no group or row has {asked.only!r} in its name")
    if machine.stale():
        _tell("note: the installed package is not the one of this checkout; it is the installed one that is measured")
    missing = namesake.install()
    if missing:
        _tell(f"note: {missing}")
    effort, began, load = QUICK if asked.quick else FULL, perf_counter(), machine.busy()
    scores = run(rows, effort, missing, _tell)
    facts = machine.facts() | {
        "Effort": f"{effort.passes} times {effort.rounds} rounds, samples of {effort.seconds * 1e3:g} ms, "
        f"{perf_counter() - began:.0f} s in all; load average before: {load}",
    }
    chosen = {row.name for row in rows}
    text = report(GROUPS, [target for target in TARGETS if target.row in chosen], scores, facts)
    print(text)
    whole = not asked.quick and len(chosen) == sum(len(group.rows) for group in GROUPS)
    output = asked.output or (TABLE if whole else None)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(_MADE + text, encoding="utf-8")
        _tell(f"written to {output}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, about a minute; not for the documentation")
    parser.add_argument("--only", default="", metavar="TEXT", help="only groups and rows with TEXT in their names")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"where to write (whole runs: {TABLE.name})")
    return parser.parse_args()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


main()
