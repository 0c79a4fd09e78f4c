"""Many callers at once: identical code runs once, only so many run, a kill ends them all, and counts fit."""

from __future__ import annotations

import sys
import threading

import pytest
from scripted import until, well

from pyresilience import BulkheadFullError
from pyresilience.sandbox import Execution, Sandbox, SandboxClosedError


async def test_what_runs_while_the_cache_is_cleared_is_not_kept(colour, create, executor):
    """It was begun before: its caller gets the result, the next one a new run."""
    sandbox = await create()
    executor.hold()

    async def run():
        return await colour.go(sandbox.run_code, "x")

    async def clear():
        await colour.until(lambda: executor.inside)
        said = await colour.go(sandbox.cache.clear)
        executor.release()
        return said

    result, said = await colour.gather(run, clear)
    assert (result.stdout, said["entries_removed"]) == ("x", 0)
    assert not (await colour.go(sandbox.run_code, "x")).cached


async def test_a_hundred_at_once_run_once(colour, create, executor):
    """One runs it, the others are given its result and count as hits."""
    sandbox = await create()
    executor.hold()

    async def run():
        return await colour.go(sandbox.run_code, "x")

    async def release():
        await colour.until(lambda: _in_line(sandbox) == 99)
        executor.release()

    *results, _ = await colour.gather(*[run] * 100, release)
    assert len(executor.jobs) == 1
    assert [each.cached for each in results].count(False) == 1
    assert {each.stdout for each in results} == {"x"}
    figures = (await colour.go(sandbox.cache.stats))["cache"]
    assert (figures["misses"], figures["total_hits"], figures["coalesced"], figures["size"]) == (1, 99, 99, 1)


async def test_those_who_wait_share_a_failure_too(colour, create, executor):
    """Callers at the same moment get the same failed run; a later one runs again."""
    sandbox = await create()
    executor.hold()
    executor.ends = lambda job: Execution(1, "", "no", 0.1)

    async def run():
        return await colour.go(sandbox.run_code, "x")

    async def release():
        await colour.until(lambda: _in_line(sandbox) == 4)
        executor.release()

    *results, _ = await colour.gather(*[run] * 5, release)
    assert len(executor.jobs) == 1
    assert {(each.exit_code, each.stderr) for each in results} == {(1, "no")}
    await colour.go(sandbox.run_code, "x")
    assert len(executor.jobs) == 2


async def test_whoever_may_take_longer_is_not_answered_by_a_time_out(colour, create, executor):
    """A caller that waited for a run with less time runs itself when that is late; one with no more time does not."""
    sandbox = await create()
    executor.hold()
    executor.ends = lambda job: well(job) if job.timeout > 50 else Execution(124, "", "", 50.0, timed_out=True)

    def run(timeout, line):
        async def run():
            await colour.until(lambda: _in_line(sandbox) == line)
            return await colour.go(sandbox.run_code, "x", timeout=timeout)

        return run

    async def release():
        await colour.until(lambda: _in_line(sandbox) == 2)
        executor.runs[0].let_go.set()
        await colour.until(lambda: len(executor.runs) == 2)
        executor.release()

    first, longer, same, _ = await colour.gather(run(50, None), run(60, 0), run(50, 1), release)
    assert (first.timed_out, first.cached) == (True, False)
    assert (longer.timed_out, longer.cached, longer.stdout) == (False, False, "x")
    assert (same.timed_out, same.cached) == (True, True)
    assert [job.timeout for job in executor.jobs] == [50.0, 60.0]


async def test_whoever_may_take_less_time_does_not_wait_longer(colour, create, executor):
    """A caller that waits for an identical run gives up when its own time is up, and says so."""
    sandbox = await create()
    executor.hold()

    async def lead():
        return await colour.go(sandbox.run_code, "x", timeout=15)

    async def follow():
        await colour.until(lambda: executor.inside)
        result = await colour.go(sandbox.run_code, "x", timeout=0.02)
        executor.release()
        return result

    slow, quick = await colour.gather(lead, follow)
    assert (slow.success, slow.stdout) == (True, "x")
    assert (quick.success, quick.timed_out, quick.exit_code, quick.cached) == (False, True, 124, False)
    assert quick.execution_time == pytest.approx(0.02)
    assert len(executor.jobs) == 1
    assert (await colour.go(sandbox.run_code, "x")).cached


def _in_line(sandbox):
    flights = list(sandbox._runner.cache.flights._flying.values())
    return sum(len(flight.followers) for flight in flights) if flights else None


@pytest.mark.parametrize("use_cache", [True, False])
async def test_only_so_many_run_at_once(colour, create, executor, use_cache):
    """Further ones wait for their turn and then run, with and without the cache."""
    sandbox = await create(max_concurrent=3)
    executor.hold()

    def run(number):
        async def run():
            return await colour.go(sandbox.run_code, str(number), use_cache=use_cache)

        return run

    async def release():
        await colour.until(lambda: executor.inside == 3)
        await colour.sleep(0.02)
        executor.release()

    *results, _ = await colour.gather(*map(run, range(12)), release)
    assert sorted(each.stdout for each in results) == sorted(map(str, range(12)))
    assert (executor.most, len(executor.jobs)) == (3, 12)


async def test_whoever_does_not_want_to_wait_is_refused(colour, create, executor):
    """With `max_wait=0` a run beyond the bound is refused, and hits are still given."""
    sandbox = await create(max_concurrent=1, max_wait=0)
    await colour.go(sandbox.run_code, "kept")
    executor.hold()

    async def run():
        return await colour.go(sandbox.run_code, "x")

    async def refused():
        await colour.until(lambda: executor.inside)
        ends = await colour.end_of(sandbox.run_code, "y"), await colour.go(sandbox.run_code, "kept")
        executor.release()
        return ends

    result, (error, kept) = await colour.gather(run, refused)
    assert result.success
    assert isinstance(error, BulkheadFullError)
    assert kept.cached


async def test_killing_ends_what_runs(colour, create, executor):
    """A run under way ends as killed, is not kept, and nothing begins any more."""
    sandbox = await create()
    executor.hold()

    async def run():
        return await colour.go(sandbox.run_code, "x")

    async def kill():
        await colour.until(lambda: executor.inside)
        await colour.go(sandbox.kill)

    result, _ = await colour.gather(run, kill)
    assert (result.success, result.exit_code, result.stdout) == (False, 137, "before")
    assert sandbox.closed
    assert "closed" in repr(sandbox)
    assert isinstance(await colour.end_of(sandbox.run_code, "x"), SandboxClosedError)
    await colour.go(sandbox.kill)


@pytest.mark.parametrize("use_cache", [True, False])
async def test_killing_ends_the_line_too(colour, create, executor, use_cache):
    """Runs that wait for their turn when the sandbox is killed never begin, and say why."""
    sandbox = await create(max_concurrent=1)
    executor.hold()

    def run(number):
        async def run():
            return await colour.go(sandbox.run_code, str(number), use_cache=use_cache)

        return run

    async def kill():
        await colour.until(lambda: executor.inside)
        await colour.sleep(0.02)
        await colour.go(sandbox.kill)
        await colour.sleep(0.02)
        executor.release()

    *ends, _ = await colour.gather(*map(run, range(4)), kill)
    assert len(executor.jobs) == 1
    assert sorted(type(each).__name__ for each in ends) == ["ExecutionResult"] + ["SandboxClosedError"] * 3


def test_clears_and_looks_at_once(sandbox, executor):
    """Entries are counted by one of the clears only; every look finds figures that fit together."""
    removed, looks, errors, stop = [], [], [], threading.Event()

    def guarded(step):
        def loop():
            try:
                while not stop.is_set():
                    step()
            except BaseException as error:
                errors.append(error)

        return loop

    steps = [
        lambda: removed.append(sandbox.cache.clear()["entries_removed"]),
        lambda: looks.append(sandbox.cache.stats()["cache"]),
        lambda: [sandbox.run_code(str(number % 50)) for number in range(100)],
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=guarded(step)) for step in steps * 2]
    try:
        for thread in threads:
            thread.start()
        until(lambda: errors or (len(executor.jobs) > 1000 and len(removed) > 20 and len(looks) > 20))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert errors == []
    assert sum(removed) + sandbox.cache.stats()["cache"]["size"] <= len(executor.jobs)
    assert all(0 <= look["size"] <= 50 and 0 <= look["hit_ratio"] <= 1 and look["bytes"] >= 0 for look in looks)


def test_clears_at_once_remove_each_entry_once(executor):
    """What several clears at the same moment say they removed is, in all, what was there."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Sandbox.create(executor=executor) as sandbox:
            for number in range(300):
                sandbox.run_code(str(number))
            size = sandbox.cache.stats()["cache"]["bytes"]
            said, start = [], threading.Barrier(6)

            def clear():
                start.wait()
                said.append(sandbox.cache.clear())

            threads = [threading.Thread(target=clear) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sum(each["entries_removed"] for each in said) == 300
    assert sum(each["freed_bytes"] for each in said) == size
