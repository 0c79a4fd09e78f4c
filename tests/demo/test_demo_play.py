"""A run of the demo with a stand-in for the upstream: what it notices."""

from __future__ import annotations

import threading

import pytest

from benchmarks.demo.clients import Clients, Product
from benchmarks.demo.load import Crowd
from benchmarks.demo.play import FaultError, Stage
from benchmarks.demo.scoreboard import Scoreboard, doubts
from benchmarks.demo.script import beats


class Calm:
    """An upstream that only listens."""

    def __init__(self):
        self.phases = []

    def fare(self, phase):
        self.phases.append(phase)

    def stats(self):
        return {"requests": 0, "peak": 0}


def play(fetch, seconds=0.2, interrupted=lambda: False):
    async def fetch_async(number):
        return fetch(number)

    board, upstream = Scoreboard(), Calm()
    crowd = Crowd(Clients(fetch, fetch_async), board, threads=2, tasks=3)
    stage = Stage(upstream, crowd, board, lambda: "none", lambda row: None, interrupted)
    try:
        return stage.play(beats(seconds)), upstream, crowd
    finally:
        crowd.stop()


def product(number):
    return Product(number=number, name="", price=0.0)


def test_a_run_follows_the_script_and_counts_every_call():
    """The upstream hears of each phase, every call is counted once, and nobody is left behind."""
    asked = []
    run, upstream, crowd = play(lambda number: asked.append(number) or product(number))
    assert upstream.phases == [beat.phase for beat in beats(0.2)]
    assert run.tally()["calls"] == run.tally()["good"] == len(asked) > 0
    assert doubts(run.tally(), cached=False) == []
    assert not crowd.under_way


def test_troubles_of_the_upstream_are_errors_that_callers_see():
    """An expected exception is counted, and the caller goes on."""

    def refuse(number):
        raise ConnectionResetError

    run, _, crowd = play(refuse)
    assert run.tally()["errors"] == run.tally()["calls"] > 0
    assert crowd.faults == []


def test_an_error_that_nothing_explains_breaks_the_demo():
    """A fault of the library does not hide among the troubles of the upstream."""

    def broken(number):
        raise AttributeError("a fault")

    with pytest.raises(FaultError, match="a fault"):
        play(broken)


def test_a_wrong_answer_breaks_the_demo():
    """A caller that gets the product of another one says so."""
    with pytest.raises(FaultError, match="asked for product"):
        play(lambda number: product(number + 1))


def test_an_interrupted_run_ends_and_says_so():
    """Ctrl-C ends the run in the row it is in."""
    called = threading.Event()
    run, upstream, _ = play(lambda number: called.set() or product(number), seconds=60.0, interrupted=called.is_set)
    assert run.interrupted
    assert len(run.rows) == len(upstream.phases) == 1
    assert doubts(run.tally(), cached=False) == []
