"""Signal handlers and finalizers that use the cache anywhere in the middle of what it does with old values."""

import threading
from functools import partial

import pytest
from gated_upstream import is_clean
from interrupting import eventually, meddle

from pyresilience import CacheConfig, resilient
from pyresilience.cache import flight
from pyresilience.testing import FakeClock

PATIENCE = 20

ZONES = {
    "ttl": 10,
    "refresh_ahead": 0.8,
    "stale_while_revalidate": 5,
    "stale_if_error": 100,
    "reload_cooldown": 3,
    "max_reloads": 2,
    "max_size": 3,
}
SOFT = {**ZONES, "stale_while_revalidate": 0, "soft_timeout": 2, "tags": ("all",)}

HANDLERS = {
    "calls the same": lambda f: f(1),
    "calls the others": lambda f: [f(x) for x in (2, 3)],
    "invalidates": lambda f: f.cache.invalidate(1),
    "clears": lambda f: f.cache.clear(),
    "puts": lambda f: f.cache.put(1, 1),
    "refreshes": lambda f: f.cache.refresh(1),
    "closes": lambda f: f.cache.close(0),
    "looks": lambda f: (f.cache.info(), f.cache.entry(1), f.cache.explain(1)),
    "moves the time on": lambda f: f.clock.advance(2),
}

ACTS = {
    "ahead": (8, lambda f: f(1)),
    "stale": (10, lambda f: f(1)),
    "spare": (15, lambda f: f(1)),
    "gone": (200, lambda f: f(1)),
    "invalidate": (10, lambda f: (f(1), f.cache.invalidate(1))),
    "put": (10, lambda f: (f(1), f.cache.put(1, 1))),
    "info": (10, lambda f: (f(1), f.cache.info())),
}


def bounded(work):
    """Do *work* in a thread; what it returned, unless it hangs."""
    ends = []

    def run():
        try:
            ends.append(work())
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert ends, "it hangs"
    if isinstance(ends[0], BaseException):
        raise ends[0]
    return ends[0]


def made(**config):
    """A function with entries of 1, 2 and 3, which fails when told to."""
    clock, down = FakeClock(1000.0), []

    @resilient(cache=CacheConfig(**config), clock=clock)
    def f(x):
        if down:
            raise OSError
        return x

    f.clock, f.down = clock, down
    f(1), f(2), f(3)
    return f


def idle(f):
    """Wait until no reload runs."""
    for _ in range(20000):
        if not f.cache.info().reloading:
            return
        threading.Event().wait(0.0005)
    pytest.fail("a reload does not end")


def meddled(act, handler, age, down, **config):
    """Meddle at every point in turn; afterwards nothing is left, and the next calls are right."""
    point, reached = 0, True
    while reached:
        point += 1
        f = made(**config)
        f.clock.advance(age)
        f.down.extend([1] * down)
        reached = bounded(lambda f=f, point=point: meddle(point, lambda: act(f), lambda: handler(f)))
        idle(f)
        f.down.clear()
        assert is_clean(f), point
        assert len(f.cache._cache) <= 3
        f.clock.advance(10)
        assert bounded(lambda f=f: [f(x) for x in (1, 2, 3)]) == [1, 2, 3]
        idle(f)
        assert f.cache.contains(1), point
    assert point > 3


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("act", ACTS)
def test_a_handler_is_not_felt(act, handler):
    """Whatever it does, nothing hangs, fails or is left, and later calls are right."""
    age, body = ACTS[act]
    meddled(body, HANDLERS[handler], age, down=False, **ZONES)


@pytest.mark.parametrize(
    "handler", ["calls the same", "calls the others", "invalidates", "closes", "moves the time on"]
)
def test_a_handler_in_a_soft_wait(handler):
    """The same while a caller waits for a load in the background."""
    meddled(lambda f: f(1), HANDLERS[handler], 10, down=False, **SOFT)


@pytest.mark.parametrize("handler", ["calls the same", "looks", "moves the time on"])
@pytest.mark.parametrize("age", [10, 15])
def test_a_handler_while_the_upstream_is_down(handler, age):
    """The same while reloads fail: the old value stands in, for the handler as well."""
    meddled(lambda f: f(1), HANDLERS[handler], age, down=True, **ZONES)


@pytest.mark.parametrize("settings", [{}, SOFT], ids=["plain", "soft"])
def test_a_handler_below_a_lock_does_not_wait(settings):
    """Whoever runs where this thread holds the lock of the cache waits for no other thread, which may want that lock."""
    gate, began = threading.Event(), threading.Event()

    @resilient(cache=CacheConfig(**settings))
    def f(x):
        if x == 1 and not began.is_set():
            began.set()
            gate.wait(PATIENCE)
        return x

    leader = threading.Thread(target=f, args=(1,), daemon=True)
    leader.start()
    assert began.wait(PATIENCE)

    def below_the_lock():
        with f.cache._cache.flights.lock:
            gate.set()
            return f(1)

    assert bounded(below_the_lock) == 1
    leader.join(PATIENCE)
    assert not leader.is_alive()
    assert f.cache._cache.flights._flying == {}
    assert f(1) == 1


def test_a_handler_amid_the_decision_who_waits_for_whom(monkeypatch):
    """It may call another cache, though the lock of that is held by who wants to decide the same there."""
    monkeypatch.setattr(flight, "STALL", 0.2)
    gate, about, begun, threads = threading.Event(), threading.Event(), [], []

    def body(x):
        begun.append(x)
        return x == "quick" or gate.wait(PATIENCE)

    def start(function, x):
        threads.append(threading.Thread(target=function, args=(x,), daemon=True))
        threads[-1].start()

    one, other = (resilient(cache=CacheConfig())(partial(body)) for _ in range(2))
    around_one, around_other = (resilient(cache=CacheConfig())(lambda key, f=f: f("slow")) for f in (one, other))
    start(one, "slow"), start(other, "slow")
    assert eventually(lambda: len(begun) == 2)
    follow, decide = flight.Flight.follow, flight.Flight.waits_for

    def followed(*args):
        if threading.current_thread() in threads:  # it holds the lock of the other cache
            about.set()
        return follow(*args)

    def interrupted(self, above):
        monkeypatch.setattr(flight.Flight, "waits_for", decide)
        start(around_other, 1)
        assert about.wait(PATIENCE)
        other("quick")
        gate.set()
        return decide(self, above)

    monkeypatch.setattr(flight.Flight, "follow", followed)
    monkeypatch.setattr(flight.Flight, "waits_for", interrupted)
    assert bounded(lambda: around_one(1)) is True
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert sorted(begun) == ["quick", "slow", "slow", "slow"]


HEAD = """
import time
from pyresilience import CacheConfig, resilient
from pyresilience.testing import FakeClock

clock = FakeClock(1000.0)
"""


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="there are no interval timers")
def test_signal_handlers(script):
    """A handler that calls, invalidates and closes caches wherever it interrupts them is not felt."""
    said = script(
        HEAD
        + """
import random, signal
random.seed(1)

config = CacheConfig(ttl=10, refresh_ahead=0.5, stale_while_revalidate=5, stale_if_error=10, soft_timeout=1,
                     wait_timeout=1, max_reloads=2, max_size=4)

@resilient(cache=config, clock=clock)
def h(x):
    if random.random() < 0.2:
        raise OSError
    return x

count = depth = 0
def handle(*args):
    global count, depth
    if depth == 3:
        return
    count += 1
    depth += 1
    try:
        for x in range(3):
            assert h(x) == x
        h.cache.invalidate(random.randrange(6))
        clock.advance(random.random())
        h.cache.info()
    except OSError:
        pass
    finally:
        depth -= 1

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
end = time.monotonic() + 1.5
while count < 1500 and (time.monotonic() < end or count <= 100):  # a busy machine may take longer for a hundred
    for x in range(6):
        try:
            assert h(x) == x
        except OSError:
            pass
        clock.advance(0.3)
signal.setitimer(signal.ITIMER_REAL, 0)
print(count > 100, h.cache.close(), h.cache._cache.flights._flying, h.cache._cache.options.reloads._errands)
"""
    )
    assert said == ["True", "True", "{}", "{}"]


def test_finalizers(script):
    """What garbage collection runs at any point of a reload may call the same function."""
    said = script(
        HEAD
        + """
import gc

config = CacheConfig(ttl=10, stale_while_revalidate=5, stale_if_error=10, soft_timeout=1, max_reloads=2, max_size=4)
h = resilient(cache=config, clock=clock)(lambda x: x)
calls = []

class Loud:
    def __init__(self):
        self.me = self
    def __del__(self):
        calls.append(h(len(calls) % 5))
        if len(calls) % 7 == 0:
            h.cache.invalidate(len(calls) % 5)

gc.set_threshold(3, 2, 2)
for _ in range(400):
    for x in range(5):
        Loud()
        assert h(x) == x
    clock.advance(1)
gc.set_threshold(0)
print(len(calls) > 100, h.cache.close(), h.cache._cache.flights._flying)
"""
    )
    assert said == ["True", "True", "{}"]
