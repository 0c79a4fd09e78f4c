"""The zones of an entry's life, against a model that is the rules as sentences, on a clock that stands still."""

from __future__ import annotations

import random
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience import CacheConfig, EventType, FallbackConfig
from pyresilience.testing import EventRecorder, FakeClock

KEY = 7

SETTINGS = {
    "ttl": [10, 10, 10, 0, "by value"],
    "refresh_ahead": [0.5],
    "stale_while_revalidate": [4, 12],
    "stale_if_error": [8, 20],
    "stale_on": [(OSError,)],
    "reload_cooldown": [0, 3, 9],
    "tti": [4, 7],
    "cache_exceptions": [(KeyError,), (KeyError, OSError)],
    "negative_ttl": [3],
    "cache_if": ["keeps"],
    "copy": ["shallow", "deep"],
    "max_weight": ["64MB"],
    "fallback": [True],
}

LIVES = {0: 10, 1: 2, 2: 0, 3: None, 4: -1, 5: inf}
"""What a `ttl` by value makes of the number in a result, by its remainder."""

CALLS = [("call", None)]
WAITS = [("wait", seconds) for seconds in (0.5, 1, 1, 2, 2, 3, 5, 8)]
TROUBLES = [("end", end) for end in (None, None, None, ConnectionError, ValueError, KeyError)]
"""How runs end from now on: with a result, or an error."""
DELAYS = [("take", seconds) for seconds in (0, 0, 0.5, 2.5)]
"""How long they take."""
CONTROLS = [
    *(("refresh", None), ("get", None), ("invalidate", None), ("clear", None)),
    *(("put", ttl) for ttl in (None, 0, 3)),
    *(("invalidate_tag", soft) for soft in (True, True, True, False)),
]

WALK = [*[CALLS] * 8, *[WAITS] * 6, TROUBLES, TROUBLES, DELAYS, CONTROLS]

CONFIGS = st.fixed_dictionaries(
    {"ttl": st.sampled_from(SETTINGS["ttl"])},
    optional={name: st.sampled_from(values) for name, values in SETTINGS.items() if name != "ttl"},
)
STEP = st.sampled_from(WALK).flatmap(st.sampled_from)
STEPS = st.lists(STEP, max_size=10) | st.lists(STEP, min_size=40, max_size=60)


class Row:
    """One entry."""

    def __init__(self, now, life, value=None, error=None):
        self.value, self.error = value, error
        self.until, self.used, self.life, self.born = now + life, now, life, now
        self.softened, self.revoked = inf, False
        self.retry_at, self.excused = -inf, False


class Model:
    """What a caller gets of one key, told as in the documentation."""

    def __init__(self, config):
        self.config = {"stale_on": (Exception,), "reload_cooldown": 1, "negative_ttl": 5, **config}
        self.now, self.runs = 0.0, 0
        self.end, self.takes = None, 0
        self.row, self.invalidated = None, False
        self.failures = 0

    # Rows.

    def life_of(self, number):
        ttl = self.config["ttl"]
        life = LIVES[number % len(LIVES)] if ttl == "by value" else ttl or inf
        return life or 0

    def fresh_until(self, row):
        return min(row.until, row.softened, row.used + self.config.get("tti", inf))

    def zone(self, row):
        if row is None or row.revoked:
            return "gone"
        end = self.fresh_until(row)
        if self.now < end:
            share = self.config.get("refresh_ahead", 1)
            is_ahead = row.error is None and share < 1 and self.now >= row.born + row.life * share
            return "ahead" if is_ahead else "fresh"
        if row.error is not None:
            return "gone"
        if self.now < end + self.config.get("stale_while_revalidate", 0):
            return "stale"
        return "spare" if self.now < end + self.config.get("stale_if_error", 0) else "gone"

    def reasons(self):
        """Why it is a miss; either of two, if both came about."""
        row = self.row
        if row is None:
            return {"invalidated" if self.invalidated else "cold"}
        reasons = {"invalidated"} if row.revoked or row.softened < row.until else set()
        natural = min(row.until, row.used + self.config.get("tti", inf))
        return reasons | ({"expired"} if natural <= self.now else set())

    def keep(self, number, life):
        self.row = Row(self.now, life, value=number) if life > 0 else None

    # Runs.

    def run(self, *, excusable=True):
        """One run of the function: its result, or the error a caller gets."""
        self.runs += 1
        self.now += self.takes
        self.invalidated = False
        old = self.row
        if self.end is None:
            unwanted = "cache_if" in self.config and self.runs % 3 == 0
            self.keep(self.runs, 0 if unwanted else self.life_of(self.runs))
            return self.runs
        stood_in = "fallback" in self.config
        result = issubclass(self.end, self.config.get("cache_exceptions", ()))
        excused = issubclass(self.end, self.config["stale_on"]) and not result
        if old is not None:
            old.retry_at, old.excused = self.now + self.config["reload_cooldown"], excused
        if result and not stood_in:
            self.row = Row(self.now, self.config["negative_ttl"], error=(self.end, self.runs))
        elif old is not None and excused and excusable and self.zone(old) != "gone":
            return old.value
        return "stand-in" if stood_in else (self.end, self.runs)

    def reload(self):
        """One run in the background; an error that is kept is what it was to bring."""
        old = self.row
        self.run()
        self.failures += self.end is not None and self.row is old

    # What can be done.

    def call(self):
        """What the call returns or raises, and how it is told."""
        row, zone = self.row, self.zone(self.row)
        if zone == "gone" or (zone == "spare" and not (self.now < row.retry_at and row.excused)):
            told = "cache_miss", self.reasons()
            self.row = row if zone == "spare" else None
            return self.run(), told
        if zone in ("fresh", "ahead"):
            row.used = self.now
        if zone in ("ahead", "stale") and self.now >= row.retry_at:
            self.reload()
        told = "cache_hit", {"fresh" if zone in ("fresh", "ahead") else "stale"}
        return (row.value if row.error is None else row.error), told

    def refresh(self):
        reasons = {"refreshed"} if self.row is not None else self.reasons()
        return self.run(excusable=False), ("cache_miss", reasons)

    def put(self, ttl):
        self.runs += 1
        self.keep(self.runs, self.life_of(self.runs) if ttl is None else ttl or inf)
        self.invalidated = self.invalidated and self.row is None
        return self.row is not None

    def get(self):
        if self.zone(self.row) not in ("fresh", "ahead") or self.row.error:
            return None
        self.row.used = self.now
        return self.row.value

    def invalidate(self):
        found = self.row is not None
        self.row, self.invalidated = None, found or self.invalidated
        return found

    def clear(self):
        self.row = None

    def invalidate_tag(self, soft):
        if self.row is not None and soft:
            self.row.softened = min(self.row.softened, self.now)
        elif self.row is not None:
            self.row.revoked = True


class World:
    """The cached function, whose runs end as it is told."""

    def __init__(self, colour, config):
        self.colour, self.clock, self.events = colour, FakeClock(), EventRecorder()
        self.runs, self.end, self.takes = 0, None, 0
        config, stages = dict(config), {}
        if config.pop("fallback", False):
            stages["fallback"] = FallbackConfig(handler="stand-in")
        if config["ttl"] == "by value":
            config["ttl"] = lambda result: LIVES[result["run"] % len(LIVES)]
        if "cache_if" in config:
            config["cache_if"] = lambda result: result["run"] % 3
        self.f = colour.decorate(
            self.compute,
            cache=CacheConfig(tags=("all",), **config),
            clock=self.clock,
            listeners=[self.events],
            **stages,
        )

    def compute(self, key):
        self.runs += 1
        self.clock.advance(self.takes)
        if self.end is not None:
            raise self.end(self.runs)
        return {"run": self.runs}

    async def outcome(self, function):
        """What it returned or raised in short, and what was told of it, once no reload runs any more."""
        self.events.clear()
        end = await self.colour.end_of(function, KEY)
        while self.f.cache.info().reloading:
            await self.colour.sleep(0)
        [event] = self.events.of(EventType.CACHE_HIT, EventType.CACHE_MISS)
        told = event.event_type.value, getattr(event, "source", None) or event.reason
        if isinstance(end, Exception):
            return (type(end), *end.args), told
        return end["run"] if isinstance(end, dict) else end, told


def compare(world, model):
    """What can be seen of the entry, without a trace, is what the model knows."""
    zone, row, cache = model.zone(model.row), model.row, world.f.cache
    entry, fresh = cache.entry(KEY), zone in ("fresh", "ahead")
    assert world.runs == model.runs
    assert world.clock.monotonic() == model.now
    assert cache.contains(KEY) is fresh
    assert cache.peek(KEY) == ({"run": row.value} if fresh and row.error is None else None)
    assert (entry is None) is (row is None)
    if row is not None:
        assert entry.state == zone
        assert entry.age == model.now - row.born
        assert entry.value == (None if row.error else {"run": row.value})
        assert (entry.error and (type(entry.error), *entry.error.args)) == row.error
    if zone != "gone":
        end = min(row.until, row.softened)
        assert entry.expires_in == (None if end == inf else end - model.now)
    state = cache.info()
    assert (state.currsize, state.reload_failures) == (row is not None, model.failures)
    assert cache.explain(KEY).cached is fresh


async def follow(colour, config, steps):
    """Take the same steps with the function and the model, and compare after each."""
    world, model = World(colour, config), Model(config)
    for what, amount in steps:
        if what in ("call", "refresh"):
            end, told = await world.outcome(world.f if what == "call" else world.f.cache.refresh)
            expected, (event, why) = getattr(model, what)()
            assert end == expected
            assert told[0] == event
            assert told[1] in why
        elif what == "wait":
            world.clock.advance(amount)
            model.now += amount
        elif what == "end":
            world.end = model.end = amount
        elif what == "take":
            world.takes = model.takes = amount
        elif what == "get":
            got = world.f.cache.get(KEY)
            assert (got and got["run"]) == model.get()
        elif what == "put":
            world.runs += 1
            assert world.f.cache.put({"run": world.runs}, KEY, ttl=amount) is model.put(amount)
        elif what == "invalidate":
            assert world.f.cache.invalidate(KEY) is model.invalidate()
        elif what == "clear":
            world.f.cache.clear()
            model.clear()
        else:
            world.f.cache.invalidate_tag("all", soft=amount)
            model.invalidate_tag(amount)
        compare(world, model)


def test_an_entry_passes_through_its_zones(colour):
    """Whatever is called, waited for, put and invalidated, and however runs end: each call gets what the rules say."""

    @settings(derandomize=True, max_examples=200)
    @given(CONFIGS, STEPS)
    def run(config, steps):
        colour.run(follow, colour, config, steps)

    run()


def test_long_walks_through_the_zones(colour):
    """The same, on long programs with all settings at once, most of whose calls find an old result."""
    for seed in range(120):
        dice = random.Random(seed)
        config = {
            name: dice.choice(values) for name, values in SETTINGS.items() if name == "ttl" or dice.random() < 0.6
        }
        steps = [dice.choice(dice.choice(WALK)) for _ in range(100)]
        colour.run(follow, colour, config, steps)
