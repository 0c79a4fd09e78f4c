"""`python -m pyresilience top URL`: the table of the page, in the terminal."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from .. import _blocking
from .client import address_of, fetch
from .failure import Failure, token_from
from .options import above_zero, add_client_options
from .screen import Screen, screen
from .table import COLUMNS, Figures


def add_to(commands: Any) -> None:
    """Make the command known."""
    command = commands.add_parser(
        "top",
        help="show the table of functions in the terminal, live",
        description="Show the functions of a process, the busiest first, and look again every few seconds. Ctrl-C ends "
        "it. As many columns are shown as fit. HIT50 and HIT99 are the median and the 99th percentile of hits, LOAD50 "
        "and LOAD99 of misses (of runs, where there is no cache); OLD are calls answered with an expired entry, STALE those "
        "that found one; EV.* are evictions for want of room, by age, and by invalidation. With the package 'rich' installed the table is coloured.",
        epilog="Exit code: 0, or 1 if the server cannot be reached or is none of ours. On a terminal a server that went "
        "away is waited for. Examples: python -m pyresilience top localhost:8321 --sort load-p99; "
        "python -m pyresilience top https://shop.example/ops --once",
    )
    add_client_options(command)
    command.add_argument(
        "--interval", type=above_zero, default=2.0, metavar="SECONDS", help="from one look to the next (default: 2)"
    )
    command.add_argument("--once", action="store_true", help="print the table once, all of it, and end")
    names = [column.name for column in COLUMNS]
    command.add_argument(
        "--sort",
        choices=names,
        default="calls",
        metavar="COLUMN",
        help=f"the largest and the worst first (default: calls): {', '.join(names)}",
    )
    command.add_argument("--reverse", action="store_true", help="the smallest first")
    command.add_argument("--plain", action="store_true", help="do without rich, even if it is installed")
    command.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Show the table until it is enough.

    Raises:
        Failure: The server cannot be reached, or is none of ours.
    """
    address = address_of(chosen.url, chosen.window)
    token = token_from(chosen.token_env)
    live = not chosen.once and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def ask() -> Figures:
        return fetch(address, token=token, timeout=chosen.timeout)

    try:
        figures = ask()
        with screen(live=live, plain=chosen.plain, sort=chosen.sort, reverse=chosen.reverse) as drawn:
            drawn.show(figures)
            while not chosen.once:
                _blocking.pause(chosen.interval)
                figures = _again(ask, figures, drawn)
    except KeyboardInterrupt:  # that is how one leaves
        pass
    return 0


def _again(ask: Any, last: Figures, drawn: Screen) -> Figures:
    """The figures of now; while a person looks on, the last ones and why there are no others.

    Raises:
        Failure: There are none, and nobody looks on.
    """
    try:
        figures: Figures = ask()
    except Failure as failure:
        if not drawn.live:
            raise
        drawn.show(last, f"NO ANSWER, trying again: {failure}")
        return last
    drawn.show(figures)
    return figures
