"""`python -m benchmarks.demo`: exit code 0 when all went well, 1 when the demo broke, 130 if Ctrl-C cut it short."""

from __future__ import annotations

import argparse
import codecs
import io
import math
import os
import signal
import sys
import time
from types import FrameType

from pyresilience import CircuitState, shutdown

from . import report
from .child import Upstream, UpstreamDiedError
from .clients import Service, connect
from .figures import disagreements, figures
from .load import PRODUCTS, TASKS, THREADS, Crowd
from .page import PageError, StatisticsPage
from .play import GLANCE, FaultError, Run, Stage
from .scoreboard import BARE, GUARDED, Groups, Row, Scoreboard, doubts, heading, line
from .script import beats

SEED = 7
PACE = 1 / 3
"""How long the run without the library takes, compared with the one before."""

EVERY = 10
"""Rows between two headings."""

STATES = {CircuitState.CLOSED: "closed", CircuitState.HALF_OPEN: "half-open", CircuitState.OPEN: "open"}

WELCOME = """\
{threads} threads and {tasks} tasks ask a flaky HTTP service on this machine for {products} products, some far more
popular than others, for {seconds:g} s. All go through one pipeline: cache, fallback, retry with a budget, circuit
breaker, rate limiter, bulkhead, timeout (see benchmarks/demo/clients.py). Ctrl-C ends it.

cache        hit: answered at once; join: waited for the same call, under way already; miss: went into the pipeline
upstream     reqs: requests it counted; retry: times another attempt followed; late: attempts that ran out of time
refused by   the circuit breaker, the rate limiter, the bulkhead
callers got  old: the product as last seen; none: a stand-in (the fallback gives both); error: an exception;
             all others got the fresh product
"""

PAGE = """\
statistics page: {address}
             live, in a browser; in another terminal: python -m pyresilience top {address}
"""

FIGURES = """
The metrics of the run with the library, from /stats.json and /metrics:
"""

STAYING = "\nThe statistics page stays at {address} until Ctrl-C."

INTERLUDE = """
Now the same callers without the library, on an upstream like the first, for {seconds:.3g} s: the same script, each phase
a third as long.
"""

COMPARISON = """
Side by side. A caller calls again once it has its answer, so slow answers also mean fewer calls. (The upstream works on
a while at attempts that ran out of time, so more can be open there than the bulkhead lets through.)
"""


class Interrupt:
    """Ctrl-C: the first asks to end, the second ends."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGINT, self._heard)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def __call__(self) -> bool:
        """Whether somebody pressed Ctrl-C."""
        return self._asked


class Table:
    """Prints rows, with the heading now and then."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._rows = 0
        dumb = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self._colour = sys.stdout.isatty() and not dumb

    def show(self, row: Row) -> None:
        """Print one row."""
        if self._rows % EVERY == 0:
            print(heading(self._groups))
        self._rows += 1
        print(line(row, self._groups, colour=self._colour), flush=True)


def guarded_run(seconds: float, interrupted: Interrupt, page: StatisticsPage) -> Run:
    """The callers use the decorated clients, and whoever wants to watches on *page*."""
    board = Scoreboard()
    with Upstream(SEED) as upstream:
        service = connect(upstream.port, board.listen)
        print(PAGE.format(address=page.show([service.fetch, service.fetch_async])), flush=True)
        crowd = Crowd(service, board)
        stage = Stage(upstream, crowd, board, lambda: STATES[service.circuit.state], Table(GUARDED).show, interrupted)
        run = stage.play(beats(seconds))
        _audit(run, service, page)
    return run


def bare_run(seconds: float, interrupted: Interrupt) -> Run:
    """The same callers use the same functions, undecorated, on an upstream like the first."""
    board = Scoreboard()
    with Upstream(SEED) as upstream:
        crowd = Crowd(connect(upstream.port, board.listen).bare(), board)
        stage = Stage(upstream, crowd, board, lambda: "none", Table(BARE).show, interrupted)
        run = stage.play(beats(seconds, PACE))
    _blame(doubts(run.tally(), cached=False))
    return run


def _audit(run: Run, service: Service, page: StatisticsPage) -> None:
    """Compare our counts with those of the library, of the page and of the upstream."""
    tally = run.tally()
    found = doubts(tally, cached=True)
    if service.listener_errors():
        found.append(f"the listener raised {service.listener_errors()} times")
    if not run.interrupted:  # no call was cut off: nothing may be missing
        heard, counted = (tally["hits"] + tally["coalesced"], tally["misses"]), service.cache_counts()
        if heard != counted:
            found.append(f"the caches counted {counted} hits and misses, the listener heard of {heard}")
        found += disagreements(page.stats(), tally)
        if run.requests() > tally["misses"] + tally["retries"]:
            found.append(
                f"{run.requests()} requests are more than {tally['misses']} misses and {tally['retries']} retries"
            )
        if not shutdown(timeout=5.0):
            found.append("after 5 s, calls still run")
    _blame(found)


def _blame(found: list[str]) -> None:
    if found:
        raise FaultError("; ".join(found))


def demo(seconds: float, *, keep: bool) -> int:
    """The whole demo; returns the exit code."""
    interrupted = Interrupt()
    print(WELCOME.format(threads=THREADS, tasks=TASKS, products=PRODUCTS, seconds=seconds), flush=True)
    with StatisticsPage() as page:
        guarded = guarded_run(seconds, interrupted, page)
        print("", *report.summary(guarded), sep="\n", flush=True)
        if guarded.interrupted:
            _tell_figures(page)
            print("\nInterrupted: the run without the library is left out.")
            return 130
        print(INTERLUDE.format(seconds=seconds * PACE), flush=True)
        bare = bare_run(seconds, interrupted)
        print(COMPARISON)
        print(*report.side_by_side(guarded, bare), sep="\n", flush=True)
        _tell_figures(page)
        if bare.interrupted:
            print("\nInterrupted: the run without the library was cut short.")
            return 130
        if keep:
            print(STAYING.format(address=page.address), flush=True)
            while not interrupted():
                time.sleep(GLANCE)
    return 0


def _tell_figures(page: StatisticsPage) -> None:
    print(FIGURES)
    print(*figures(page.stats(), page.metrics()), sep="\n", flush=True)


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(text)
    return value


def main() -> int:
    """Read the command line, play, and tell in one line what broke, if anything did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description="The library at work.")
    parser.add_argument("--seconds", type=_seconds, default=15.0, help="how long the main run takes (default: 15)")
    parser.add_argument("--keep", action="store_true", help="leave the statistics page up at the end, until Ctrl-C")
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("dot", lambda error: (".", error.end))  # type: ignore[attr-defined]
        sys.stdout.reconfigure(errors="dot")
    try:
        return demo(arguments.seconds, keep=arguments.keep)
    except (FaultError, PageError, UpstreamDiedError) as error:
        print(f"\nThe demo broke: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has left; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
