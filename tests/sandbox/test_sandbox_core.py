"""Sandboxes on an executor that runs nothing: what is kept, what is told, what is refused, in three colours."""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from pyresilience import CacheConfig
from pyresilience.sandbox import (
    AsyncSandbox,
    Execution,
    ExecutionResult,
    Limits,
    Sandbox,
    SandboxClosedError,
)
from pyresilience.testing import FakeClock

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
FIGURES = ["max_size", "size", "total_hits", "ttl", "misses", "hit_ratio", "coalesced", "bytes", "oldest_age"]


@pytest.fixture
def time_of_caches(monkeypatch):
    """The clock of every cache made from now on."""
    clock = FakeClock(1000.0)
    monkeypatch.setattr("pyresilience.cache.result_cache.SystemClock", lambda: clock)
    return clock


async def test_a_run_says_how_it_ended(colour, create, executor):
    """Every field of a result is what the executor said, and when it was."""
    executor.ends = lambda job: Execution(3, "out", "err", 0.25, truncated=True)
    before = datetime.now(UTC)
    sandbox = await create()
    result = await colour.go(sandbox.run_code, "x")
    assert before <= result.timestamp <= datetime.now(UTC)
    assert result == ExecutionResult(
        success=False,
        stdout="out",
        stderr="err",
        exit_code=3,
        execution_time=0.25,
        language="python",
        timestamp=result.timestamp,
        truncated=True,
    )
    assert (result.cached, result.age) == (False, 0.0)
    assert not sandbox._runner._under_way


async def test_a_hit_is_the_first_run(colour, create, executor, time_of_caches):
    """Identical code is not run again: the hit has the first run's time and moment, and says that it is one."""
    sandbox = await create()
    first = await colour.go(sandbox.run_code, "x")
    time_of_caches.advance(7)
    second = await colour.go(sandbox.run_code, "x")
    assert len(executor.jobs) == 1
    assert second == dataclasses.replace(first, cached=True, age=7.0)


@pytest.mark.parametrize(
    "end",
    [
        Execution(1, "", "", 0.1),
        Execution(137, "", "", 0.1),
        Execution(124, "", "", 0.1, timed_out=True),
        Execution(0, "", "", 0.1, timed_out=True),
        Execution(-9, "", "", 0.1),
    ],
    ids=["exit", "killed", "late", "late though well", "negative"],
)
async def test_only_successes_are_kept(colour, create, executor, end):
    """What failed, was killed or was late is run again each time."""
    executor.ends = lambda job: end
    sandbox = await create()
    for _ in range(2):
        result = await colour.go(sandbox.run_code, "x")
        assert (result.success, result.cached, result.exit_code) == (False, False, end.exit_code)
    assert len(executor.jobs) == 2
    assert (await colour.go(sandbox.cache.stats))["cache"]["size"] == 0


async def test_a_failure_does_not_stay_in_the_way(colour, create, executor):
    """Once the same code succeeds, that is kept."""
    sandbox = await create()
    executor.ends = lambda job: Execution(len(executor.jobs) % 2, "", "", 0.1)
    ends = [await colour.go(sandbox.run_code, "x") for _ in range(3)]
    assert [(each.success, each.cached) for each in ends] == [(False, False), (True, False), (True, True)]


async def test_without_the_cache_nothing_is_read_or_written(colour, create, executor):
    """`use_cache=False` runs each time, leaves what is kept alone, keeps nothing itself and is not counted."""
    sandbox = await create()
    for _ in range(2):
        assert not (await colour.go(sandbox.run_code, "x", use_cache=False)).cached
    empty = (await colour.go(sandbox.cache.stats))["cache"]
    assert (empty["size"], empty["misses"], empty["total_hits"], len(executor.jobs)) == (0, 0, 0, 2)
    await colour.go(sandbox.run_code, "x")
    executor.ends = lambda job: Execution(0, "news", "", 0.1)
    assert (await colour.go(sandbox.run_code, "x", use_cache=False)).stdout == "news"
    kept = await colour.go(sandbox.run_code, "x")
    assert (kept.stdout, kept.cached, len(executor.jobs)) == ("x", True, 4)


@pytest.mark.parametrize(("text", "kept"), [("é" * 500, True), ("é" * 501, False), ("x" * 1001, False)])
async def test_what_is_too_large_is_given_and_not_kept(colour, create, executor, text, kept):
    """A result of more than `result_bytes` bytes, both outputs together, is returned, counted and not stored."""
    executor.ends = lambda job: Execution(0, text[:100], text[100:], 0.1)
    sandbox = await create(limits=Limits(result_bytes=1000))
    for again in (False, kept):
        result = await colour.go(sandbox.run_code, "x")
        assert (result.stdout + result.stderr, result.cached) == (text, again)
    assert (await colour.go(sandbox.cache.stats))["cache"]["size"] == kept
    assert sandbox._runner.metrics.get_stats().size_limit_rejections == (0 if kept else 2)


async def test_a_result_cannot_be_changed(colour, create):
    """Nobody can spoil what others will be given."""
    result = await colour.go((await create()).run_code, "x")
    for field in dataclasses.fields(result):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            setattr(result, field.name, "spoilt")
    with pytest.raises((AttributeError, TypeError)):
        result.other = 1


async def test_results_grow_old(colour, create, executor, time_of_caches):
    """A result is good for the cache's `ttl`, and not a moment longer; the statistics forget it then."""
    sandbox = await create(cache=CacheConfig(ttl=60))
    await colour.go(sandbox.run_code, "x")
    time_of_caches.advance(59.9)
    assert (await colour.go(sandbox.run_code, "x")).cached
    await colour.go(sandbox.run_code, "younger")
    assert (await colour.go(sandbox.cache.stats))["cache"]["oldest_age"] == pytest.approx(59.9)
    time_of_caches.advance(0.1)
    stats = (await colour.go(sandbox.cache.stats))["cache"]
    assert (stats["size"], stats["oldest_age"]) == (1, pytest.approx(0.1))
    assert not (await colour.go(sandbox.run_code, "x")).cached
    assert [job.code for job in executor.jobs] == ["x", "younger", "x"]


async def test_the_least_recently_used_goes_first(colour, create, executor):
    """With room for two, the one that was asked for longest ago makes room."""
    sandbox = await create(cache=CacheConfig(max_size=2))
    for code in ("a", "b", "a", "c", "a", "b"):
        await colour.go(sandbox.run_code, code)
    assert [job.code for job in executor.jobs] == ["a", "b", "c", "b"]
    assert (await colour.go(sandbox.cache.stats))["cache"]["size"] == 2


async def test_the_statistics_to_the_letter(colour, create):
    """The documented fields come first and in order, then ours; the moment is in UTC, to the second."""
    sandbox = await create()
    stats = await colour.go(sandbox.cache.stats)
    assert list(stats) == ["cache", "timestamp"]
    assert list(stats["cache"]) == FIGURES
    assert {name: stats["cache"][name] for name in FIGURES[:4]} == {
        "max_size": 1000,
        "size": 0,
        "total_hits": 0,
        "ttl": "5m0s",
    }
    assert STAMP.fullmatch(stats["timestamp"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(stats["timestamp"])).total_seconds()) < 5
    for code in "aababc":
        await colour.go(sandbox.run_code, code)
    figures = (await colour.go(sandbox.cache.stats, timeout=1))["cache"]
    assert (figures["size"], figures["total_hits"], figures["misses"]) == (3, 3, 3)
    assert (figures["hit_ratio"], figures["coalesced"]) == (0.5, 0)
    assert figures["bytes"] > 3 * sys.getsizeof("a")
    assert figures["oldest_age"] >= 0


@pytest.mark.parametrize("rate", [0.0, 0.1])
async def test_the_hits_are_the_hits_whatever_is_sampled(colour, create, rate):
    """The documented total is of all hits, even where metrics record a share of the calls."""
    sandbox = await create(cache=CacheConfig(metrics_sampling_rate=rate))
    for _ in range(11):
        await colour.go(sandbox.run_code, "x")
    figures = (await colour.go(sandbox.cache.stats))["cache"]
    assert (figures["total_hits"], figures["misses"]) == (10, 1)


@pytest.mark.parametrize("timeout", [0.25, "250ms", timedelta(milliseconds=250)])
async def test_a_time_limit_can_be_written_in_every_way(colour, create, executor, timeout):
    """Seconds, text or a `timedelta`, for the sandbox and for a run; the run's wins."""
    sandbox = await create(timeout=timeout)
    await colour.go(sandbox.run_code, "x", use_cache=False)
    await colour.go(sandbox.run_code, "x", use_cache=False, timeout="2m")
    await colour.go((await create()).run_code, "x", timeout=timeout)
    assert [job.timeout for job in executor.jobs] == [0.25, 120.0, 0.25]
    assert {type(job.timeout) for job in executor.jobs} == {float}


@pytest.mark.parametrize(("ttl", "text"), [(0, "0s"), (0.5, "500ms"), (90, "1m30s"), ("1d", "24h0m0s")])
async def test_the_time_to_live_is_said_as_go_says_it(colour, create, ttl, text):
    """`ttl` is a duration as in the documented answer."""
    sandbox = await create(cache=CacheConfig(ttl=ttl))
    assert (await colour.go(sandbox.cache.stats))["cache"]["ttl"] == text


async def test_clearing_to_the_letter(colour, create, executor):
    """It says what went, in the documented fields, and counting begins anew."""
    sandbox = await create()
    for code in "aab":
        await colour.go(sandbox.run_code, code)
    size = (await colour.go(sandbox.cache.stats))["cache"]["bytes"]
    said = await colour.go(sandbox.cache.clear, timeout=1)
    assert list(said) == ["message", "timestamp", "entries_removed", "cleared_entries", "freed_bytes"]
    assert isinstance(said["message"], str)
    assert STAMP.fullmatch(said["timestamp"])
    assert (said["entries_removed"], said["cleared_entries"], said["freed_bytes"]) == (2, 2, size)
    figures = (await colour.go(sandbox.cache.stats))["cache"]
    assert [figures[name] for name in FIGURES if name not in ("max_size", "ttl", "hit_ratio")] == [0] * 6
    assert not (await colour.go(sandbox.run_code, "a")).cached
    assert (await colour.go(sandbox.cache.clear))["entries_removed"] == 1
    assert (await colour.go(sandbox.cache.clear))["entries_removed"] == 0


@pytest.mark.parametrize("use_cache", [True, False])
async def test_what_cannot_begin_is_raised_and_forgotten(colour, create, executor, use_cache):
    """An executor that cannot start says why, nothing is kept, no place is lost, and the next run is well."""
    sandbox = await create(max_concurrent=1)
    executor.fails = OSError("no process can be started")
    for _ in range(3):
        assert await colour.end_of(sandbox.run_code, "x", use_cache=use_cache) is executor.fails
    executor.fails = None
    assert (await colour.go(sandbox.run_code, "x", use_cache=use_cache)).success


async def test_a_killed_sandbox_answers_nothing_and_holds_nothing(colour, create, executor):
    """Neither runs nor hits; its cache is empty, and asking it does no harm."""
    sandbox = await create()
    await colour.go(sandbox.run_code, "x")
    await colour.go(sandbox.kill)
    error = await colour.end_of(sandbox.run_code, "x")
    assert isinstance(error, SandboxClosedError)
    assert sandbox.id in str(error)
    assert (await colour.go(sandbox.cache.stats))["cache"]["size"] == 0
    assert (await colour.go(sandbox.cache.clear))["entries_removed"] == 0


def test_a_block_kills_it(executor):
    """Leaving `with` ends the sandbox, an error or not."""
    with pytest.raises(KeyError), Sandbox.create(executor=executor) as sandbox:
        raise KeyError
    assert sandbox.closed


async def test_each_sandbox_has_its_own_results(colour, create, executor):
    """Two of them share nothing, whatever their templates; each has a name of its own."""
    sandboxes = [await create(), await create(), await create("base"), await create("python")]
    for sandbox in sandboxes:
        assert not (await colour.go(sandbox.run_code, "x")).cached
    assert len({sandbox.id for sandbox in sandboxes}) == 4
    assert [sandbox.template for sandbox in sandboxes] == ["code-interpreter", "code-interpreter", "base", "python"]


async def test_the_environment_is_merged_and_changed(colour, create, executor):
    """The call's variables win over the sandbox's; what was set is a copy, and changing it makes another run."""
    given = {"A": "1", "B": "2"}
    sandbox = await create(env=given)
    given["A"] = "spoilt"
    sandbox.env["A"] = "spoilt"
    await colour.go(sandbox.run_code, "x", env={"B": "3", "C": ""})
    assert dict(executor.jobs[-1].env) == {"A": "1", "B": "3", "C": ""}
    sandbox.update_env({"B": "3", "C": ""})
    assert (await colour.go(sandbox.run_code, "x")).cached
    sandbox.set_env({"A": "1"})
    assert sandbox.env == {"A": "1"}
    assert not (await colour.go(sandbox.run_code, "x")).cached
    for wrong in ({"A": 1}, {"": "x"}, {"A=": "x"}, {"A": "\0"}):
        with pytest.raises((TypeError, ValueError)):
            sandbox.set_env(wrong)
        with pytest.raises((TypeError, ValueError)):
            sandbox.update_env(wrong)
    assert sandbox.env == {"A": "1"}


async def test_the_directory_and_the_language_are_given_on(colour, create, executor, tmp_path, monkeypatch):
    """A relative directory means the one of now, and both ways to write it are the same run."""
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    sandbox = await create()
    await colour.go(sandbox.run_code, "x", language="bash", working_dir="inner")
    assert (executor.jobs[0].language, executor.jobs[0].working_dir) == ("bash", tmp_path.resolve() / "inner")
    assert (await colour.go(sandbox.run_code, "x", language="bash", working_dir=tmp_path / "inner")).cached


def test_nothing_is_begun_by_importing(script):
    """`import pyresilience` leaves the sandbox alone, and importing the sandbox starts no thread and no process."""
    assert script("import pyresilience, sys; print('pyresilience.sandbox' in sys.modules)") == ["False"]
    code = "import pyresilience.sandbox, threading, sys; print(threading.active_count(), 'anyio' in sys.modules)"
    assert script(code) == ["1", "False"]


def test_both_kinds_take_the_same_settings():
    """What can be given to one can be given to the other, in the same order and with the same defaults."""
    import inspect

    for name in ("create", "run_code", "kill"):
        one, other = inspect.signature(getattr(Sandbox, name)), inspect.signature(getattr(AsyncSandbox, name))
        assert one.parameters == other.parameters, name


def test_a_sandbox_forgotten_is_a_sandbox_gone(executor):
    """Sandboxes that nobody holds leave no thread behind."""
    import gc
    import weakref

    before = set(threading.enumerate())
    sandbox = Sandbox.create(executor=executor)
    sandbox.run_code("x")
    trace = weakref.ref(sandbox)
    del sandbox
    gc.collect()
    assert trace() is None
    assert set(threading.enumerate()) <= before
