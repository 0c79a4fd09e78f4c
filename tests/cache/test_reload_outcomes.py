"""Whatever a reload comes to: no exception, something that can be used only once, settings that raise."""

import asyncio

import pytest
from gated_upstream import ZONES, cached, is_clean, reloaded, under_way

STALE = {"ttl": 10, "stale_while_revalidate": 1000, "reload_cooldown": 3}
PATIENCE = 20


class Stop(BaseException):
    """Ends a thread, not an error."""


@pytest.mark.parametrize("colour", ["sync", "trio"], indirect=True)
@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), Stop()], ids=repr)
async def test_what_is_no_exception_ends_a_reload_quietly(colour, clock, events, error):
    """The caller does not feel it, the key is free, it counts as a failure, and it cools down."""
    f, upstream = cached(colour, clock, events, **STALE)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = error
    for _ in range(5):
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
    assert (upstream.runs, f.cache.info().reload_failures, is_clean(f)) == (2, 1, True)
    upstream.error = None
    clock.advance(3)
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert await colour.go(f, 1) == 3


@pytest.mark.parametrize("colour", ["asyncio"], indirect=True)
async def test_a_cancellation_that_nobody_asked_for_is_a_failure(colour, clock, events):
    """As of a function that awaits a task which another has cancelled: it cools down, and is not run at each call."""
    f, upstream = cached(colour, clock, events, **STALE)
    await colour.go(f, 1)
    clock.advance(10)
    upstream.error = asyncio.CancelledError()
    for _ in range(5):
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
    assert (upstream.runs, f.cache.info().reload_failures, is_clean(f)) == (2, 1, True)


@pytest.mark.parametrize("colour", ["asyncio"], indirect=True)
async def test_a_cancellation_from_outside_is_none(colour, clock, events):
    """Whoever ends the reload does not make its cache cool down: the next caller has another one run."""
    f, upstream = cached(colour, clock, events, **STALE)
    await under_way(colour, f, upstream, clock)
    [task] = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()
    await reloaded(colour, f)
    assert f.cache.info().reload_failures == 0
    assert await colour.go(f, 1) == 1
    await reloaded(colour, f)
    assert (await colour.go(f, 1), upstream.runs) == (3, 3)


@pytest.mark.parametrize("colour", ["asyncio"], indirect=True)
def test_what_is_no_exception_ends_a_loop(colour, clock, events):
    """In asyncio it ends the event loop as it would from any task, and the cache goes on in the next one."""
    f, upstream = cached(colour, clock, events, **STALE)

    async def leave():
        await colour.go(f, 1)
        clock.advance(10)
        upstream.error = SystemExit(1)
        assert await colour.go(f, 1) == 1
        await colour.sleep(0.02)

    async def go_on():
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
        return await colour.go(f, 1)

    with pytest.raises(SystemExit):
        colour.run(leave)
    upstream.error = None
    clock.advance(3)
    assert is_clean(f)
    assert colour.run(go_on) == 3


@pytest.mark.parametrize("answer", [lambda: iter([1]), lambda: (x for x in [1])])
async def test_what_can_be_used_only_once(colour, clock, events, answer):
    """A reload that returns a generator or an iterator keeps nothing of it, and cools down; nothing is stuck."""
    f, upstream = cached(colour, clock, events, **ZONES)
    await colour.go(f, 1)
    real = upstream.answer

    async def other(*args):
        await real(*args)
        return answer()

    upstream.answer = other
    clock.advance(10)
    for _ in range(5):
        assert await colour.go(f, 1) == 1
        await reloaded(colour, f)
    assert (upstream.runs, f.cache.info().reload_failures, is_clean(f)) == (2, 1, True)
    clock.advance(20)
    assert next(await colour.go(f, 1)) == 1
    assert f.cache.entry(1) is None


@pytest.mark.parametrize("field", ["cache_if", "ttl", "weigher", "tags", "copy"])
async def test_settings_that_raise(colour, clock, events, field):
    """A function among the settings that raises fails the reload, and the old value stays as long as it may."""

    def setting(*args, **kwargs):
        if upstream.runs > 1 and field != "copy":
            raise KeyError(field)
        return [] if field == "tags" else args[-1] if field == "copy" else 10

    f, upstream = cached(colour, clock, events, **{**ZONES, field: setting})
    await colour.go(f, 1)
    clock.advance(10)
    for _ in range(3):
        await colour.go(f, 1)
        await reloaded(colour, f)
    assert is_clean(f)
    assert upstream.runs == 2
    if field != "copy":
        assert f.cache.info().reload_failures == 1
        clock.advance(20)
        assert isinstance(await colour.end_of(f, 1), KeyError)
