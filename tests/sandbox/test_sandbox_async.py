"""Cancelled, interrupted, forked, in several event loops: nothing runs on, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
import time

import anyio
import pytest
from scripted import PATIENCE, until

from pyresilience import CacheConfig
from pyresilience.http.asgi import resilience_app
from pyresilience.metrics.roster import roster
from pyresilience.metrics.subject import read
from pyresilience.sandbox import AsyncSandbox, Execution, Sandbox, SandboxClosedError

LABEL = "pyresilience.sandbox.runner.run_code"

on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def reached(condition):
    """Wait until *condition* holds, without a thread's sleep."""
    with anyio.fail_after(PATIENCE):
        while not condition():
            await anyio.sleep(0.001)


def in_line(sandbox):
    """How many wait for the run of somebody else."""
    return sum(len(flight.followers) for flight in list(sandbox._runner.cache.flights._flying.values()))


@on_both
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_cancelled_run_is_killed(executor, backend, use_cache):
    """Whoever gives up ends the run, and goes on only when it is over; its place in the bulkhead is free again."""

    async def main():
        async with await AsyncSandbox.create(executor=executor, max_concurrent=1) as sandbox:
            executor.hold()
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: sandbox.run_code("x", use_cache=use_cache))
                await reached(lambda: executor.inside)
                group.cancel_scope.cancel()
            assert (executor.runs[0].kills, executor.runs[0].waits, executor.inside) == (1, 1, 0)
            assert not sandbox._runner._under_way
            executor.release()
            result = await sandbox.run_code("x", use_cache=use_cache)
            assert (result.success, result.cached) == (True, False)

    anyio.run(main, backend=backend)


@on_both
def test_a_leader_that_is_cancelled_hands_over(executor, backend):
    """Those who waited for its run get one of their own, once."""

    async def main():
        async with await AsyncSandbox.create(executor=executor) as sandbox:
            executor.hold()
            results, scope = [], anyio.CancelScope()

            async def lead():
                with scope:
                    await sandbox.run_code("x")

            async def follow():
                results.append(await sandbox.run_code("x"))

            async with anyio.create_task_group() as group:
                group.start_soon(lead)
                await reached(lambda: executor.inside)
                for _ in range(5):
                    group.start_soon(follow)
                await reached(lambda: in_line(sandbox) == 5)
                scope.cancel()
                await reached(lambda: len(executor.runs) == 2)
                executor.release()
            assert [each.stdout for each in results] == ["x"] * 5
            assert [each.cached for each in results].count(False) == 1
            assert [run.kills for run in executor.runs] == [1, 0]

    anyio.run(main, backend=backend)


@on_both
def test_a_follower_that_is_cancelled_harms_nobody(executor, backend):
    """The run goes on, and the others get its result."""

    async def main():
        async with await AsyncSandbox.create(executor=executor) as sandbox:
            executor.hold()
            results, scope = [], anyio.CancelScope()

            async def run():
                results.append(await sandbox.run_code("x"))

            async def give_up():
                with scope:
                    await sandbox.run_code("x")

            async with anyio.create_task_group() as group:
                group.start_soon(run)
                await reached(lambda: executor.inside)
                group.start_soon(give_up)
                group.start_soon(run)
                await reached(lambda: in_line(sandbox) == 2)
                scope.cancel()
                await reached(lambda: in_line(sandbox) == 1)
                executor.release()
            assert [each.stdout for each in results] == ["x"] * 2
            assert len(executor.runs) == 1
            assert executor.runs[0].kills == 0

    anyio.run(main, backend=backend)


@on_both
def test_whoever_waits_for_a_turn_can_be_cancelled(executor, backend):
    """It leaves the line and is never run."""

    async def main():
        async with await AsyncSandbox.create(executor=executor, max_concurrent=1) as sandbox:
            executor.hold()
            async with anyio.create_task_group() as group:
                group.start_soon(sandbox.run_code, "x")
                await reached(lambda: executor.inside)
                with anyio.move_on_after(0.02) as scope:
                    await sandbox.run_code("y")
                assert scope.cancelled_caught
                executor.release()
            assert [job.code for job in executor.jobs] == ["x"]
            assert (await sandbox.run_code("z")).success

    anyio.run(main, backend=backend)


@on_both
def test_the_event_loop_goes_on_while_code_runs(executor, backend):
    """Others have their turn while a run lasts."""

    async def main():
        async with await AsyncSandbox.create(executor=executor) as sandbox:
            executor.hold()
            async with anyio.create_task_group() as group:
                group.start_soon(sandbox.run_code, "x")
                await reached(lambda: executor.inside)
                executor.holds = lambda job: job.code == "x"
                assert (await sandbox.run_code("y")).success
                executor.release()

    anyio.run(main, backend=backend)


def test_two_cancellations_at_once_kill_once_and_leave_nothing(executor):
    """A task that is cancelled again while its run ends gives up at once, and the run is killed all the same."""

    async def main():
        sandbox = await AsyncSandbox.create(executor=executor)
        executor.hold()
        task = asyncio.create_task(sandbox.run_code("x"))
        await reached(lambda: executor.inside)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert executor.runs[0].kills >= 1
        executor.release()
        assert (await sandbox.run_code("x")).success

    asyncio.run(main())
    until(lambda: executor.inside == 0)


def test_a_loop_that_is_closed_under_a_run_kills_it(executor):
    """Nothing runs on for a caller that is gone, and others go on in their own loops."""
    executor.hold()
    loop = asyncio.new_event_loop()
    sandbox = loop.run_until_complete(AsyncSandbox.create(executor=executor))
    coroutine = sandbox.run_code("x")
    task = loop.create_task(coroutine)

    async def begun():
        await reached(lambda: executor.inside)

    loop.run_until_complete(begun())
    loop.close()
    task._log_destroy_pending = False
    coroutine.close()
    until(lambda: executor.runs[0].kills and executor.inside == 0)
    executor.release()
    assert asyncio.run(sandbox.run_code("x")).success


def test_two_loops_share_one_run(executor):
    """Callers in different event loops, of both kinds, run identical code once."""
    sandbox = asyncio.run(AsyncSandbox.create(executor=executor))
    executor.hold()
    results = []

    async def run():
        with anyio.fail_after(PATIENCE):
            results.append(await sandbox.run_code("x"))

    threads = [
        threading.Thread(target=anyio.run, args=(run,), kwargs={"backend": backend})
        for backend in ("asyncio", "trio", "asyncio")
    ]
    for thread in threads:
        thread.start()
    until(lambda: in_line(sandbox) == 2)
    executor.release()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert [each.stdout for each in results] == ["x"] * 3
    assert len(executor.jobs) == 1


@pytest.mark.parametrize("use_cache", [True, False])
def test_an_interrupt_kills_the_run(sandbox, executor, use_cache):
    """Ctrl-C while waiting ends the run before it goes on, and the sandbox is well afterwards."""
    executor.hold()

    def interrupt():
        until(lambda: executor.inside)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        sandbox.run_code("x", use_cache=use_cache)
    thread.join()
    assert (executor.runs[0].kills, executor.runs[0].waits, executor.inside) == (1, 1, 0)
    assert not sandbox._runner._under_way
    executor.release()
    assert sandbox.run_code("x", use_cache=use_cache).success


def test_without_a_thread_nothing_runs_on(executor, monkeypatch):
    """Where the system refuses another thread, the run that was begun is killed, and that is said."""

    def refuse(function, name):
        raise RuntimeError("can't start new thread")

    async def main():
        sandbox = await AsyncSandbox.create(executor=executor)
        executor.hold()
        with monkeypatch.context() as patch:
            patch.setattr("pyresilience._async.in_background", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await sandbox.run_code("x")
        assert (executor.runs[0].kills, executor.inside) == (1, 0)
        executor.release()
        assert (await sandbox.run_code("x")).success

    asyncio.run(main())


async def test_killed_while_it_begins(colour, create, executor):
    """A run that begins in the moment of the kill is killed too: none is overlooked."""
    sandbox = await create()
    executor.hold()
    begin = executor.start

    def start(job):
        running = begin(job)
        sandbox._close()
        return running

    executor.start = start
    result = await colour.go(sandbox.run_code, "x")
    assert (result.success, result.exit_code) == (False, 137)
    assert isinstance(await colour.end_of(sandbox.run_code, "x"), SandboxClosedError)


async def test_killing_one_sandbox_leaves_another_alone(colour, create, executor):
    """Two of them on one executor: the run of the other goes on, and so does the executor."""
    one, other = await create(), await create()
    executor.hold()

    async def run():
        return await colour.go(other.run_code, "x")

    async def kill():
        await colour.until(lambda: executor.inside)
        await colour.go(one.kill)
        executor.release()

    result, _ = await colour.gather(run, kill)
    assert result.success
    assert executor.closed == 0
    assert (await colour.go(other.run_code, "x")).cached


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_neither_waits_for_nor_ends_its_parents_runs(executor):
    """A child has what was kept, runs for itself what is under way in its parent, and its kill is its own."""
    with Sandbox.create(executor=executor, max_concurrent=1) as sandbox:
        sandbox.run_code("kept")
        executor.holds = lambda job: job.code == "x"
        thread = threading.Thread(target=sandbox.run_code, args=("x",))
        thread.start()
        until(lambda: executor.inside)
        child = os.fork()
        if child == 0:
            try:
                executor.lock, executor.holds = threading.RLock(), lambda job: False
                well = sandbox.run_code("kept").cached and sandbox.run_code("x").success
                before = executor.runs[1].kills
                sandbox.kill()
                os._exit(0 if well and executor.runs[1].kills == before == 0 else 1)
            finally:
                os._exit(2)
        end = time.monotonic() + PATIENCE
        while (status := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.005)
        if status == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        executor.release()
        thread.join(PATIENCE)
        assert status != (0, 0), "the child hangs"
        assert os.waitstatus_to_exitcode(status[1]) == 0
        assert sandbox.run_code("x").cached


# What the metrics see.


def ours():
    """What the page is told of sandboxes."""
    return [state for state in read(roster.subjects()) if state.function == LABEL]


def nothing_is_left():
    """Whether no sandbox is known any more; the thread that answered for the page may hold one a moment longer."""
    gc.collect()
    return ours() == []


async def test_its_runs_are_in_the_metrics_while_it_lives(colour, create, executor):
    """`/stats.json` has hits, misses and runs of a sandbox, and nothing of it once it is gone."""
    await colour.until(nothing_is_left)
    sandbox = await create(cache=CacheConfig(max_size=7, ttl=60))
    executor.ends = lambda job: Execution(0, job.code, "", 0.1)
    for code in "aab":
        await colour.go(sandbox.run_code, code)
    told = _stats_json()
    [found] = [each for each in told["functions"] if each["function"] == LABEL]
    assert (found["cache"]["hits"], found["cache"]["misses"]) == (1, 2)
    [state] = ours()
    assert (state.cache.max_entries, state.cache.entry_count, state.ttl) == (7, 2, 60)
    assert (state.runs.success, state.runs.failure) == (2, 0)
    await colour.go(sandbox.kill)
    del sandbox, found, state
    await colour.until(nothing_is_left)


def _stats_json():
    """What the page asks for."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/stats.json",
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }
    thread = threading.Thread(target=lambda: asyncio.run(resilience_app()(scope, receive, send)))
    thread.start()
    thread.join(PATIENCE)
    return json.loads(b"".join(message.get("body", b"") for message in sent))


async def test_clearing_from_the_page_clears_the_sandbox(colour, create, executor):
    """The function of a sandbox can be cleared like any other, and its statistics know."""
    sandbox = await create()
    await colour.go(sandbox.run_code, "x")
    for subject in roster.subjects():
        if subject.label == LABEL:
            subject.function.cache.clear()
    assert (await colour.go(sandbox.cache.stats))["cache"]["size"] == 0
    assert not (await colour.go(sandbox.run_code, "x")).cached
