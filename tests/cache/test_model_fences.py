"""Who computes, who waits for whom, and what is kept of it: many callers, step by step, against a model of their groups.

Each run of the function waits until it is told how to end, and after each step everything has come to rest, so that a
program of steps has one outcome only.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from math import inf

import anyio
import anyio.lowlevel
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyresilience import CacheConfig, _blocking
from pyresilience.errors import ResilienceTimeoutError
from pyresilience.testing import FakeClock

KEYS = "ab"
TTL = 10
PATIENCE = 20.0

ZONES = {"ttl": TTL, "reload_cooldown": 0}
SETTINGS = [
    {"ttl": 0},
    {},
    {"tags": lambda key, result: ("all", key)},
    *({"wait_timeout": 5, "on_wait_timeout": then} for then in ("compute", "stale", "raise")),
    *({**ZONES, "stale_while_revalidate": 20, "max_reloads": most} for most in (1, 8)),
    {**ZONES, "refresh_ahead": 0.5, "stale_while_revalidate": 4},
    {**ZONES, "stale_if_error": 40},
    {**ZONES, "stale_if_error": 40, "soft_timeout": 3},
    {**ZONES, "stale_if_error": 40, "soft_timeout": 3, "max_reloads": 1, "wait_timeout": 5},
    *(
        {**ZONES, "stale_while_revalidate": 6, "stale_if_error": 40, "wait_timeout": 5, "on_wait_timeout": then}
        for then in ("compute", "stale", "raise")
    ),
]

CALLS = [("call", key) for key in KEYS]
ENDS = [("finish", (place, ok)) for place in range(3) for ok in (True, True, False)]
CANCELS = [("cancel", place) for place in range(4)]
WAITS = [("wait", seconds) for seconds in (0.5, 2, 4, 8)]
FENCES = [
    *((what, key) for key in KEYS for what in ("invalidate", "put", "refresh", "refresh", "hard")),
    *(("clear", None), ("hard", "all"), ("soft", "all"), ("soft", "a")),
]
WALK = [CALLS, CALLS, CALLS, CALLS, ENDS, ENDS, CANCELS, WAITS, FENCES]
STEP = st.sampled_from(WALK).flatmap(st.sampled_from)
STEPS = st.lists(STEP, max_size=12) | st.lists(STEP, min_size=30, max_size=50)

LOST_SPARE = [
    *(("call", "a"), ("finish", (0, True)), ("wait", 8), ("wait", 4)),
    *(("call", "a"), ("invalidate", "a"), ("call", "a"), ("wait", 4), ("wait", 4), ("finish", (1, True))),
]
"""A caller waits briefly, as there is an old result; that is invalidated, and so it waits for the next one, as all do."""


class Run:
    """One run of the function."""

    def __init__(self, key, number, begun, caller, gate):
        self.key, self.number, self.begun, self.caller, self.gate = key, number, begun, caller, gate
        self.ended, self.ok = inf, None


class Caller:
    """One call, or one `refresh`."""

    def __init__(self, key):
        self.key, self.begun, self.end, self.place, self.scope = key, inf, None, None, None
        self.deadline, self.is_soft = inf, False


class World:
    """A cached function with callers, and a list of all that happened to it, by ticks."""

    def __init__(self, colour, config):
        self.colour, self.clock, self.config = colour, FakeClock(), config
        self.is_zoned = config != {"ttl": 0}
        tags = ("all", "{key}") if self.is_zoned else None
        cache = CacheConfig(**{"ttl": 0, "tags": tags, **config})
        self.f = colour.decorate(self.compute, cache=cache, clock=self.clock)
        self.blocked = self.alive = 0
        self.lock = threading.RLock()
        self.tick, self.number = itertools.count(1).__next__, itertools.count(1).__next__
        self.group = None
        self.runs, self.callers, self.refreshes, self.fences, self.puts = [], [], [], [], {}

    # What runs on its own.

    def here(self):
        """Where it runs."""
        return threading.get_ident() if self.colour.is_sync else anyio.get_current_task().id

    async def compute(self, key):
        with self.lock:
            place = self.here()
            caller = next((each for each in self.callers if each.place == place and each.end is None), None)
            run = Run(key, self.number(), self.tick(), caller, self.colour.event())
            self.runs.append(run)
            self.blocked += 1
        try:
            await run.gate.wait()
            if not run.ok:
                raise OSError(run.number)
            return run.number
        finally:
            run.ended = self.tick()

    async def drive(self, caller, function):
        caller.place, caller.begun = self.here(), self.tick()
        try:
            with anyio.CancelScope() if caller.scope is None else caller.scope:
                caller.end = "value", await self.colour.go(function, caller.key)
        except Exception as error:
            caller.end = (type(error), *(error.args if type(error) is OSError else ()))
        caller.end = caller.end or ("cancelled",)
        with self.lock:
            self.alive -= 1

    def spawn(self, key, function):
        caller = Caller(key)
        self.callers.append(caller)
        self.alive += 1
        if self.colour.is_sync:
            caller.scope = threading.RLock()  # a context that does nothing
            threading.Thread(target=self.colour.run, args=(self.drive, caller, function), daemon=True).start()
        else:
            caller.scope = anyio.CancelScope()
            self.group.start_soon(self.drive, caller, function)
        return caller

    async def settle(self, rounds=30):
        """Let everybody go on until all wait for something."""
        if not self.colour.is_sync:
            for _ in range(rounds):
                await anyio.lowlevel.checkpoint()
            return
        end = time.monotonic() + PATIENCE
        if rounds < 30:
            time.sleep(0)
            return
        while not self.is_settled():
            assert time.monotonic() < end, "somebody hangs"
            time.sleep(0)

    def is_settled(self):
        """Whether all wait for something, and no reload came or went while they were counted."""
        reloading = self.f.cache.info().reloading
        with self.lock:
            all_wait = self.blocked == self.alive + reloading
        return all_wait and self.f.cache.info().reloading == reloading

    # What is done to it.

    def call(self, key):
        return self.spawn(key, self.f)

    def refresh(self, key):
        caller = self.spawn(key, self.f.cache.refresh)
        self.refreshes.append(caller)
        return caller

    def finish(self, run, ok):
        run.ok = ok
        with self.lock:
            self.blocked -= 1
        run.gate.set()

    def fence(self, keys, act, *args, **options):
        """Do what outdates all that was begun for *keys* before; that lasts from one tick to another."""
        begun = self.tick()
        act(*args, **options)
        ended = self.tick()
        self.fences += [(key, begun, ended) for key in keys]
        return ended

    def invalidate(self, key):
        self.fence(key, self.f.cache.invalidate, key)

    def clear(self, _=None):
        self.fence(KEYS, self.f.cache.clear)

    def put(self, key):
        number = self.number()
        self.puts[number] = inf
        self.puts[number] = self.fence(key, self.f.cache.put, number, key)

    def hard(self, tag):
        if self.is_zoned:
            self.fence(KEYS if tag == "all" else tag, self.f.cache.invalidate_tag, tag)

    def soft(self, tag):
        if self.is_zoned:
            self.f.cache.invalidate_tag(tag, soft=True)

    # What is seen of it.

    @property
    def open_runs(self):
        return [run for run in self.runs if run.ended == inf]

    def row(self, key):
        """Zone and number of the entry."""
        entry = self.f.cache.entry(key)
        return ("gone", None) if entry is None or entry.state == "gone" else (entry.state, entry.value)

    def is_sound(self, key, number, asked):
        """Whether what was computed as *number* may be given to who *asked* then."""
        run = next((run for run in self.runs if run.number == number), None)
        begun, ended = (run.begun, run.ended) if run else (self.puts[number], self.puts[number])
        outdated = any(at == key and begun < first and last < asked for at, first, last in self.fences)
        for refresh in self.refreshes:  # it outdates what is being computed, but not what is kept
            own = next((run.begun for run in self.runs if run.caller is refresh), inf)
            outdated = outdated or (refresh.key == key and begun < refresh.begun and own < min(ended, asked))
        return not outdated

    def check(self):
        """Nothing outdated has been given out, or is kept."""
        for caller in self.callers:
            if caller.end and caller.end[0] == "value":
                assert self.is_sound(caller.key, caller.end[1], caller.begun)
        for key in KEYS:
            _, number = self.row(key)
            assert number is None or self.is_sound(key, number, inf)

    def count(self):
        """No key is computed twice at once without need, and all reloads are known."""
        for key in KEYS:
            fences = [last for at, _, last in self.fences if at == key]
            fence = max([*fences, *(caller.begun for caller in self.refreshes if caller.key == key)], default=0)
            new = [run for run in self.open_runs if run.key == key and run.begun >= fence]
            new = [run for run in new if run.caller is None or run.caller.begun >= fence]
            assert len(new) <= 1 or "wait_timeout" in self.config or callable(self.config.get("tags"))
        assert self.f.cache.info().reloading == len([run for run in self.open_runs if run.caller is None])

    async def end(self):
        """Let all runs end: nobody hangs, and nothing is left behind."""
        for _ in range(len(self.callers) + 2):
            for run in self.open_runs:
                if run.ok is None:
                    self.finish(run, ok=True)
            await self.settle()
        assert all(caller.end for caller in self.callers), "a caller hangs"
        assert not self.open_runs
        assert not self.f.cache._cache.flights._flying
        assert not self.clock._alarms
        assert self.f.cache.info().reloading == 0
        assert {caller.end[0] for caller in self.callers} <= {"value", "cancelled", OSError, ResilienceTimeoutError}


class Group:
    """A run, and those who wait for it."""

    def __init__(self, run, since, members=(), old=None, *, excusable=True):
        self.run, self.since, self.members, self.old, self.excusable = run, since, [*members], old, excusable
        self.is_outdated = False


class Story:
    """What must come of each step: who leads, who follows whom, what each gets, and what is kept."""

    def __init__(self, world):
        self.world = world
        self.current, self.groups = {}, []
        config = world.config
        self.patience, self.soft = config.get("wait_timeout", inf), config.get("soft_timeout", inf)
        self.then, self.most = config.get("on_wait_timeout", "compute"), config.get("max_reloads", 8)

    async def make(self, what, which):
        world = self.world
        if what in ("call", "refresh", "wait"):
            await getattr(self, what)(which)
        elif what == "finish":
            if world.open_runs:
                await self.finish(world.open_runs[which[0] % len(world.open_runs)], which[1])
        elif what == "cancel":
            waiting = [caller for caller in world.callers if caller.end is None]
            if waiting and not world.colour.is_sync:
                await self.cancel(waiting[which % len(waiting)])
        else:
            getattr(world, what)(which)
            await self.step([])
            if what != "soft" and (world.is_zoned or what != "hard"):
                by_result = what == "hard" and callable(world.config.get("tags"))
                for key in KEYS if which in (None, "all") or by_result else which:
                    if what != "hard":
                        self.current.pop(key, None)
                    elif key in self.current:  # it keeps its place until the next caller comes
                        self.current[key].is_outdated = True

    async def step(self, expected):
        """Come to rest; exactly the *expected* callers (None: a reload) have begun to compute. Returns their runs."""
        before = self.seen
        await self.world.settle()
        self.seen = len(self.world.runs)
        runs = self.world.runs[before:]
        assert [run.caller for run in runs] == expected
        return runs

    seen = 0

    def lead(self, key, run, members=(), old=None, **kind):
        group = self.current[key] = Group(run, self.world.clock.monotonic(), members, old, **kind)
        self.groups.append(group)

    def raw(self, key):
        """What stands in for what cannot be had, if it is still good then."""
        entry = self.world.f.cache.entry(key) if self.world.is_zoned else None
        return None if entry is None else entry.value

    def follow(self, caller, group, zone):
        now = self.world.clock.monotonic()
        caller.is_soft = zone != "gone" and self.soft < self.patience
        caller.deadline = now + (self.soft if caller.is_soft else self.patience)
        group.members.append(caller)

    async def call(self, key):
        world = self.world
        zone, number = world.row(key)
        group, room = self.current.get(key), world.f.cache.info().reloading < self.most
        world.clock.advance(1 / 1024)  # no two wait until the same moment
        caller = world.call(key)
        if group is not None and group.is_outdated:
            group = None
        if zone in ("fresh", "ahead", "stale"):
            runs = await self.step([None] if zone != "fresh" and group is None and room else [])
            assert caller.end == ("value", number)
            if runs:
                self.lead(key, runs[0], old=number)
        elif group is not None:
            await self.step([])
            self.follow(caller, group, zone)
        elif zone == "spare" and self.soft < inf:
            runs = await self.step([None] if room else [])
            if runs:
                self.lead(key, runs[0], old=number)
                self.follow(caller, self.current[key], zone)
            else:
                assert caller.end == ("value", number)
        else:
            [run] = await self.step([caller])
            self.lead(key, run, old=number)

    async def refresh(self, key):
        old = self.raw(key)
        caller = self.world.refresh(key)
        [run] = await self.step([caller])
        self.lead(key, run, old=old, excusable=False)

    async def finish(self, run, ok):
        world, key = self.world, run.key
        group = next(group for group in self.groups if group.run is run)
        before, stands_in = world.row(key), group.old is not None and world.row(key)[1] == group.old
        is_current = self.current.get(key) is group
        world.finish(run, ok)
        await self.step([])
        end = ("value", run.number) if ok else (OSError, run.number)
        excuse = ("value", group.old) if stands_in and not ok else end
        if run.caller:
            assert run.caller.end == (excuse if group.excusable else end)
        for member in group.members:
            assert member.end == excuse
        if is_current:
            del self.current[key]
        if not (ok and is_current):
            assert world.row(key) == before
        elif not group.is_outdated:
            assert world.f.cache.entry(key).value == run.number
        self.groups.remove(group)

    async def cancel(self, caller):
        key = caller.key
        group = next(group for group in self.groups if caller in (group.run.caller, *group.members))
        caller.scope.cancel()
        if caller in group.members:
            await self.step([])
            group.members.remove(caller)
        elif group.members:
            heir = group.members.pop(0)
            heir.deadline = inf
            group.old, group.excusable, group.is_outdated = self.raw(key), True, False
            group.since = self.world.clock.monotonic()
            [group.run] = await self.step([heir])
            self.current.setdefault(key, group)
        else:
            await self.step([])
            self.groups.remove(group)
            if self.current.get(key) is group:
                del self.current[key]
        assert caller.end == ("cancelled",)

    async def wait(self, seconds):
        clock = self.world.clock
        until = clock.monotonic() + seconds
        while True:
            waiting = [(each.deadline, id(each), each, group) for group in self.groups for each in group.members]
            deadline, _, caller, group = min(waiting, default=(inf, 0, None, None))
            if deadline > until:
                break
            clock.advance(max(0.0, deadline - clock.monotonic()))
            await self.give_up(caller, group)
        clock.advance(max(0.0, until - clock.monotonic()))
        await self.step([])

    async def give_up(self, caller, group):
        """*caller* has waited as long as it is willing to."""
        key, (zone, number) = caller.key, self.world.row(caller.key)
        group.members.remove(caller)
        if zone in ("fresh", "ahead") or (zone != "gone" and (caller.is_soft or self.then == "stale")):
            await self.step([])
            assert caller.end == ("value", number)
        elif not caller.is_soft and self.then == "raise":
            await self.step([])
            assert caller.end == (ResilienceTimeoutError,)
        elif caller.is_soft and key in self.current:
            await self.step([])
            self.follow(caller, self.current[key], "gone")
            caller.deadline += -self.soft
        else:
            old, current = self.raw(key), self.current.get(key)
            [run] = await self.step([caller])
            hangs = group.since + self.patience <= self.world.clock.monotonic()
            self.lead(key, run, old=old)
            if hangs:  # those who wait go on to wait for the new one
                self.current[key].members, group.members = group.members, []
            if current not in ((None, group) if hangs else (None,)):
                self.current[key] = current


class Watched(_blocking.Signal):
    """A signal of threads that tells the world when somebody waits for it."""

    world = None

    def __init__(self):
        super().__init__()
        self.waits = False

    def set(self):
        with self.world.lock:
            self.world.blocked -= self.waits
            self.waits = False
            super().set()

    def wait(self, clock, until=inf, look=inf):
        with self.world.lock:
            self.waits = look > 0 and self._lock.locked()  # else it has only to look again
            self.world.blocked += self.waits
        super().wait(clock, until, look)
        with self.world.lock:
            self.world.blocked -= self.waits
            self.waits = False


class _Nobody:
    async def __aenter__(self):
        return None

    async def __aexit__(self, *error):
        return None


async def follow(colour, config, steps):
    """Make the steps one by one, and see that each has the outcome that it must have."""
    world = Watched.world = World(colour, config)
    story = Story(world)
    async with _Nobody() if colour.is_sync else anyio.create_task_group() as world.group:
        for what, which in steps:
            await story.make(what, which)
            world.check()
            world.count()
        await world.end()
        world.check()


async def rush(colour, config, steps, seed):
    """Make the steps without waiting for what comes of each, and see that all ends well."""
    world, dice = World(colour, config), random.Random(seed)
    Watched.world = world
    async with _Nobody() if colour.is_sync else anyio.create_task_group() as world.group:
        for what, which in steps:
            runs, callers = world.open_runs, [caller for caller in world.callers if caller.end is None]
            if what == "finish" and runs:
                run = runs[which[0] % len(runs)]
                if run.ok is None:
                    world.finish(run, which[1])
            elif what == "cancel" and callers and not colour.is_sync:
                callers[which % len(callers)].scope.cancel()
            elif what == "wait":
                world.clock.advance(which)
            elif what not in ("finish", "cancel"):
                getattr(world, what)(which)
            await world.settle(dice.choice([0, 0, 1, 1, 2, 3, 30]))
            world.check()
        if seed % 3 == 0:
            assert colour.is_sync or await world.f.cache.aclose()
            world.f.cache.close(timeout=0)
        await world.end()
        world.check()


@pytest.fixture
def watched(monkeypatch):
    """Let the world know who waits."""
    monkeypatch.setattr(_blocking, "Signal", Watched)


def test_every_caller_gets_what_it_must(colour, watched):
    """Calls, refreshes, invalidations and time-outs, runs that end well, badly or are cancelled, in any order."""

    @settings(derandomize=True, max_examples=40)
    @given(st.sampled_from(SETTINGS), STEPS)
    @example({**ZONES, "stale_if_error": 40, "soft_timeout": 3, "wait_timeout": 5}, LOST_SPARE)
    def run(config, steps):
        colour.run(follow, colour, config, steps)

    run()


def walks(count):
    """Long programs, for all settings in turn."""
    for seed in range(count):
        dice = random.Random(seed)
        yield SETTINGS[seed % len(SETTINGS)], [dice.choice(dice.choice(WALK)) for _ in range(80)]


def test_long_walks(colour, watched):
    """The same, on long programs."""
    for config, steps in walks(32):
        colour.run(follow, colour, config, steps)


def test_whatever_comes_at_once(colour, watched):
    """Even where one thing happens before another has had its effect: nothing outdated, nobody hangs, nothing is left."""
    for seed, (config, steps) in enumerate(walks(48)):
        colour.run(rush, colour, config, steps, seed)
