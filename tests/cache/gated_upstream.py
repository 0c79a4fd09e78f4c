"""An upstream that counts its runs, fails when told to and can be held, behind a cache with zones."""

from crowds import waiting

from pyresilience import CacheConfig

ZONES = {"ttl": 10, "refresh_ahead": 0.8, "stale_while_revalidate": 5, "stale_if_error": 20, "reload_cooldown": 3}
"""Born at 0, an entry is to be reloaded from 8 on, stale from 10 on, a spare one from 15 on, and gone at 30."""


class Upstream:
    """Answers with the number of its run."""

    def __init__(self, colour):
        self.colour = colour
        self.runs = 0
        self.over = 0
        self.gate = None
        """What each run that begins from now on waits for; None: nothing."""
        self.error = None
        """What each run that ends from now on raises; None: it returns."""
        self.seen = None
        """Is called in each run, with its arguments."""

    async def answer(self, *args):
        """One run."""
        gate = self.gate  # before the run is seen, upon which the gate may be taken away
        self.runs += 1
        run = self.runs
        try:
            if self.seen is not None:
                self.seen(*args)
            if gate is not None:
                await gate.wait()
            if self.error is not None:
                raise self.error
            return run
        finally:
            self.over += 1

    def hold(self):
        """Hold the runs that begin from now on; returns what lets them go."""
        self.gate = self.colour.event()
        return self.gate

    def free(self):
        """Hold those that begin from now on no longer."""
        self.gate = None


def cached(colour, clock, events, stages=None, **config):
    """A function of that colour behind a cache, and its upstream."""
    upstream = Upstream(colour)

    async def load(*args):
        return await upstream.answer(*args)

    f = colour.decorate(load, cache=CacheConfig(**config), clock=clock, listeners=[events], **(stages or {}))
    return f, upstream


async def reloaded(colour, f):
    """Wait until no reload runs."""
    await colour.until(lambda: f.cache.info().reloading == 0)


def is_clean(f):
    """Whether nothing is under way, and nothing of it is left."""
    return not f.cache.info().reloading and not f.cache._cache.flights._flying


def told(events):
    """What the events say of the cache: what happened, and its source or reason."""
    lines = [(event.event_type.value, getattr(event, "source", getattr(event, "reason", None))) for event in events]
    return [(kind, word) for kind, word in lines if kind in ("cache_hit", "cache_miss")]


def counted(f):
    """The metrics of *f*: hits, misses, stale hits, recalculations, wait timeouts."""
    stats = f.metrics.get_stats()
    assert stats.hit_latency.count + stats.load_latency.count == stats.hits + stats.misses
    return stats.hits, stats.misses, stats.stale_hits, stats.recalculations, stats.wait_timeouts


async def under_way(colour, f, upstream, clock, age=10):
    """Bring a reload of the entry of 1 under way; returns what lets it go."""
    await colour.go(f, 1)
    clock.advance(age)
    gate = upstream.hold()
    assert await colour.go(f, 1) == 1
    await colour.until(lambda: upstream.runs == 2)
    upstream.free()
    return gate


class Until:
    """A step of `later`: nothing more is done before *condition* holds."""

    def __init__(self, condition):
        self.condition = condition


def later(colour, f, clock, count, *steps):
    """What moves the clock on once *count* callers wait, and then does the *steps*."""

    async def move():
        await colour.until(lambda: waiting(f) == count)
        for step in steps:
            if isinstance(step, (int, float)):
                clock.advance(step)
            elif isinstance(step, Until):
                await colour.until(step.condition)
            else:
                step()
            await colour.sleep(0.005)

    return move
