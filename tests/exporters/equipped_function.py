"""A function whose cache uses its options, and to which all has happened that metrics tell of them."""

from __future__ import annotations

import threading

from crowds import waiting
from exporter_contract import PATIENCE, until

from pyresilience import CacheConfig, resilient
from pyresilience.testing import FakeClock

SLOW, BROKEN, HEAVY = "slow", "broken", 5000


class Equipped:
    """The function, as `f`, and what happens to it.

    Args:
        name: What it is called.
        settings: Of the cache, in place of those here.
    """

    def __init__(self, name="equipped", **settings):
        self.clock = FakeClock(1000.0)
        self.go, self.inside, self.fails = threading.Event(), threading.Event(), False

        def f(x):
            if x == SLOW and not self.inside.is_set():
                self.inside.set()
                assert self.go.wait(PATIENCE)
            if self.fails:
                raise ConnectionError(x)
            return x

        f.__name__ = f.__qualname__ = name
        self.config = CacheConfig(
            **{
                "max_size": 3,
                "ttl": 10,
                "stale_while_revalidate": 10,
                "reload_cooldown": 0,
                "wait_timeout": 5,
                "weigher": lambda value: value if isinstance(value, int) else 1,
                "max_weight": "1kB",
                "enable_metrics": True,
                **settings,
            }
        )
        self.f = resilient(cache=self.config, clock=self.clock)(f)

    def idle(self):
        """Wait until nothing is reloaded any more."""
        until(lambda: self.f.cache.info().reloading == 0, "the end of reloads")

    def happen(self):
        """Let everything happen that there is a count for."""
        f = self.f
        for x in (1, 1, 2, 3, 4, HEAVY):  # a hit, an eviction by size, a rejection
            f(x)
        f.cache.invalidate(4)
        self.clock.advance(10)
        f(3)  # stale
        self.idle()
        self.clock.advance(10)
        self.fails = True
        f(3)
        self.idle()
        self.fails = False
        self.wait_in_vain()
        self.clock.advance(20)
        for x in (7, 8, 9):
            f(x)
        return f

    def wait_in_vain(self):
        """One computes, another waits for it too long, and computes as well."""
        callers = [threading.Thread(target=self.f, args=(SLOW,)) for _ in range(2)]
        callers[0].start()
        assert self.inside.wait(PATIENCE)
        callers[1].start()
        until(lambda: waiting(self.f), "a follower")
        self.clock.advance(5)
        callers[1].join(PATIENCE)
        self.go.set()
        callers[0].join(PATIENCE)
        assert not any(each.is_alive() for each in callers)
