"""What the tests of the eviction orders share: each of them, and a cache that holds one."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pyresilience.policies.eviction import ORDERS


class Cache:
    """Who holds an order: it adds, touches, discards, and evicts while there is too much."""

    def __init__(self, make, size):
        self.order, self.size, self.held, self.hits = make(size), size, set(), 0

    def get(self, *keys):
        for key in keys:
            if key in self.held:
                self.hits += 1
                with suppress(KeyError):
                    self.order.touch(key)
            else:
                self.held.add(key)
                self.order.add(key)
                while len(self.held) > self.size:
                    self.evict()

    def evict(self):
        self.held.remove(self.order.victim())

    def drop(self, key):
        self.held.discard(key)
        self.order.discard(key)

    def clear(self):
        self.held.clear()
        self.order.clear()

    @property
    def known(self):
        """Whom the order can tell of."""
        return {*self.order._entries}

    @property
    def placed(self):
        """How many entries stand in the queues of the order."""
        return sum(map(len, self.order._segments))

    def victims(self):
        """Everybody, in the order of leaving."""
        victims = []
        with suppress(KeyError):
            while True:
                victims.append(self.order.victim())
        return victims


@pytest.fixture(params=ORDERS)
def make(request):
    """What makes an order of each kind."""
    return ORDERS[request.param]


@pytest.fixture
def cache_of(make):
    """What makes a cache of that size."""
    return lambda size: Cache(make, size)
