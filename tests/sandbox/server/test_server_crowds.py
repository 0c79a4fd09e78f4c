"""Many clients at once, slow ones, and those that go away."""

from __future__ import annotations

import anyio
import pytest
from asgi_clients import Answered, ask, until

from pyresilience.sandbox import Job, Limits, SandboxClosedError
from pyresilience.sandbox.server import sandbox_app
from pyresilience.sandbox.server.places import Places, SeatedExecutor


async def at_once(*requests):
    """Do all, and give their answers in order."""
    answers = [None] * len(requests)

    async def one(place, request):
        answers[place] = await request()

    async with anyio.create_task_group() as group:
        for each in enumerate(requests):
            group.start_soon(one, *each)
    return answers


def test_a_hundred_identical_requests_run_the_code_once(app, loop, pretend):
    """The first runs it, the others get its result, marked as cached."""

    async def scenario():
        answers = await at_once(*[lambda: ask(app, "POST", "/execute", {"code": "say a"})] * 100)
        assert {each.status for each in answers} == {200}
        assert sorted(each.json["cached"] for each in answers) == [False] + [True] * 99
        assert len(pretend.started) == 1
        stats = (await ask(app, "GET", "/cache/stats")).json["cache"]
        assert (stats["misses"], stats["coalesced"], stats["total_hits"]) == (1, 99, 99)

    loop(scenario)


def test_thirty_two_clients_are_served_at_once(app, loop, pretend):
    """Each its own program."""

    async def scenario():
        answers = await at_once(*[lambda n=n: ask(app, "POST", "/execute", {"code": f"say {n}"}) for n in range(32)])
        assert [each.json["stdout"] for each in answers] == [str(n) for n in range(32)]

    loop(scenario)


def test_beyond_the_bound_clients_are_told_to_come_back(pretend, loop):
    """429 with Retry-After, in every sandbox of the server; a place that is free again is given out."""
    app = sandbox_app(pretend, max_concurrent=2)

    async def scenario():
        made = (await ask(app, "POST", "/v1/sandboxes", {"template_name": "base"})).json
        own = {"Authorization": f"Bearer {made['auth_token']}"}
        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(ask, app, "POST", "/execute", {"code": f"hang {number}"})
            await until(lambda: len(pretend.started) == 2)
            for path, headers in (("/execute", {}), (f"/s/{made['id']}/execute", own)):
                refused = await ask(app, "POST", path, {"code": "say a"}, headers=headers)
                assert (refused.status, refused.error, refused.headers["retry-after"]) == (
                    429,
                    "TOO_MANY_REQUESTS",
                    "1",
                )
                assert refused.json["details"]["retry_after_seconds"] == 1
            pretend.started[0].kill()
            await until(lambda: len(pretend.ended) == 1 and app._registry._places.running == 1)
            assert (await ask(app, "POST", "/execute", {"code": "say a"})).status == 200
            pretend.started[1].kill()
        assert app._registry._places.running == 0

    loop(scenario)


def test_what_is_cached_needs_no_place(pretend, loop):
    """Hits and followers are answered however much runs."""
    app = sandbox_app(pretend, max_concurrent=1)

    async def scenario():
        await ask(app, "POST", "/execute", {"code": "say a"})
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, app, "POST", "/execute", {"code": "hang"})
            await until(lambda: len(pretend.started) == 2)
            assert (await ask(app, "POST", "/execute", {"code": "say a"})).json["cached"]
            pretend.started[1].kill()

    loop(scenario)


def test_requests_under_way_are_bounded(pretend, loop, monkeypatch):
    """Those that wait for another's run as well."""
    app = sandbox_app(pretend)
    app._registry._places._waiting = 2

    async def scenario():
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(ask, app, "POST", "/execute", {"code": "hang"})
            await until(lambda: app._registry._places._under_way == 2 and pretend.started)
            assert (await ask(app, "POST", "/execute", {"code": "hang"})).error == "TOO_MANY_REQUESTS"
            pretend.started[0].kill()
        assert app._registry._places._under_way == 0

    loop(scenario)


def test_a_client_that_goes_away_ends_its_run(app, loop, pretend):
    """Nobody would hear the result; the place is free again, and no answer is sent."""

    async def scenario():
        gone, ends = anyio.Event(), []

        async def leave():
            ends.append(await ask(app, "POST", "/execute", {"code": "hang"}, gone=gone))

        async with anyio.create_task_group() as group:
            group.start_soon(leave)
            await until(lambda: pretend.started)
            gone.set()
        assert ends == [None]
        assert pretend.started[0].killed.is_set()
        assert pretend.ended == pretend.started
        assert app._registry._places.running == 0

    loop(scenario)


def test_a_run_that_others_wait_for_is_not_lost(app, loop, pretend):
    """When its first client goes away the others still get a result."""

    async def scenario():
        gone, ends = anyio.Event(), []

        async def stay():
            ends.append(await ask(app, "POST", "/execute", {"code": "hang"}))

        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ask(app, "POST", "/execute", {"code": "hang"}, gone=gone))
            await until(lambda: pretend.started)
            group.start_soon(stay)
            group.start_soon(stay)
            await until(lambda: app._registry._places._under_way == 3)
            gone.set()
            await until(lambda: app._registry._places._under_way == 2)
            await until(lambda: any(not each.killed.is_set() for each in pretend.started))
            for each in pretend.started:
                each.kill()
        assert [(each.status, each.json["stdout"]) for each in ends] == [(200, "so far")] * 2

    loop(scenario)


def test_a_client_that_goes_away_before_it_has_asked_gets_no_answer(app, loop, pretend):
    """Half a body runs nothing."""

    async def scenario():
        heard = []
        left = [{"type": "http.request", "body": b'{"code": "say', "more_body": True}, {"type": "http.disconnect"}]

        async def receive():
            return left.pop(0)

        async def send(message):
            heard.append(message)

        scope = {"type": "http", "method": "POST", "path": "/execute", "headers": [(b"host", b"localhost")]}
        await app(scope, receive, send)
        assert heard == []
        assert not pretend.started

    loop(scenario)


def test_an_answer_that_cannot_be_sent_is_no_error(app, loop):
    """ASGI servers tell of a client that is gone by an OSError."""

    async def scenario():
        async def receive():
            return {"type": "http.request", "body": b'{"code": "say a"}', "more_body": False}

        async def send(message):
            raise OSError("gone")

        scope = {"type": "http", "method": "GET", "path": "/env", "headers": [(b"host", b"localhost")]}
        await app(scope, receive, send)

    loop(scenario)


def test_a_slow_body_is_given_up(pretend, loop):
    """Whoever begins to say something and does not go on gets 408, and the connection ends."""
    app = sandbox_app(pretend, body_seconds=0.02)

    async def scenario():
        heard = []
        left = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive():
            if left:
                return left.pop(0)
            return await anyio.sleep_forever()

        async def send(message):
            heard.append(message)

        scope = {"type": "http", "method": "POST", "path": "/execute", "headers": [(b"host", b"localhost")]}
        with anyio.fail_after(10):
            await app(scope, receive, send)
        answer = Answered(heard)
        assert (answer.status, answer.error, answer.headers["connection"]) == (408, "REQUEST_TIMEOUT", "close")

    loop(scenario)


def test_clears_at_once_count_every_entry_once(app, loop):
    """However many clear, the entries that they say they removed are those that were there."""

    async def scenario():
        for number in range(20):
            await ask(app, "POST", "/execute", {"code": f"say {number}"})
        answers = await at_once(*[lambda: ask(app, "POST", "/cache/clear")] * 50)
        assert {each.status for each in answers} == {200}
        assert sum(each.json["entries_removed"] for each in answers) == 20
        assert sum(each.json["freed_bytes"] > 0 for each in answers) == 1

    loop(scenario)


def test_clearing_while_code_runs_loses_nobody(app, loop, pretend):
    """The client that waits gets its result."""

    async def scenario():
        ends = []

        async def run():
            ends.append(await ask(app, "POST", "/execute", {"code": "hang"}))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await until(lambda: pretend.started)
            for _ in range(5):
                assert (await ask(app, "POST", "/cache/clear")).status == 200
            pretend.started[0].kill()
        assert ends[0].json["stdout"] == "so far"

    loop(scenario)


def test_the_end_of_a_sandbox_ends_its_own_runs_alone(pretend):
    """Those of others go on; it starts nothing more, and every place is given back."""
    places = Places(4)
    one, other = SeatedExecutor(pretend, places), SeatedExecutor(pretend, places)
    job = Job("hang", "python", {}, None, 1.0, Limits())
    ours, theirs = one.start(job), other.start(job)
    one.close()
    assert ours.wait().exit_code == 137
    assert not pretend.started[1].killed.is_set()
    with pytest.raises(SandboxClosedError, match="has ended"):
        one.start(job)
    assert places.running == 1
    theirs.kill()
    theirs.wait()
    assert (places.running, pretend.closed) == (0, False)


def test_what_starts_in_the_moment_of_the_end_is_killed(pretend):
    """The end comes while the inner executor starts it."""
    places = Places(4)
    executor, start = SeatedExecutor(pretend, places), pretend.start

    def slowly(job):
        running = start(job)
        executor.close()
        return running

    pretend.start = slowly
    assert executor.start(Job("hang", "python", {}, None, 1.0, Limits())).wait().exit_code == 137
    assert places.running == 0
