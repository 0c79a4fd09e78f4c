"""Crowds of callers, while entries are invalidated, refreshed and reloaded and the time goes on."""

import random
import sys
import threading

import pytest
from gated_upstream import ZONES, Upstream, is_clean, waiting

from pyresilience import CacheConfig, resilient

PATIENCE = 20


@pytest.fixture
def quick_switches():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


SETTINGS = {
    "zones": {},
    "soft": {"stale_while_revalidate": 0, "soft_timeout": 1},
    "compute": {"wait_timeout": 1},
    "stale": {"wait_timeout": 1, "on_wait_timeout": "stale"},
    "tags of the result": {"tags": lambda x, result: ["all"]},
}


@pytest.mark.parametrize("settings", [{**ZONES, "tags": ("all",), **more} for more in SETTINGS.values()], ids=SETTINGS)
@pytest.mark.parametrize("seed", [1, 2])
async def test_invalidation_wins(colour, clock, seed, settings, quick_switches):
    """Once an invalidation has returned, no call gets what was read before it, whatever else goes on."""
    dice, upstream = random.Random(seed), Upstream(colour)
    version, ends = [0], []

    async def load(x):
        read = version[0]
        for _ in range(dice.choice([0, 0, 1, 4])):
            await colour.sleep(0)
        if upstream.error is not None and dice.random() < 0.5:
            raise upstream.error
        return read

    f = colour.decorate(load, cache=CacheConfig(**settings), clock=clock)
    ways = [lambda: f.cache.invalidate(1), lambda: f.cache.invalidate_tag("all"), f.cache.clear, f.cache_clear]

    async def read():
        while not ends:
            await colour.end_of(f, 1)
            await colour.sleep(0)

    async def write():
        try:
            for _ in range(150):
                version[0] += 1
                wanted = version[0]
                dice.choice(ways)()
                for _ in range(dice.randrange(3)):
                    got = await colour.end_of(f, 1)
                    assert isinstance(got, OSError) or got >= wanted
                    clock.advance(dice.choice([0, 1, 4, 6, 12]))
                upstream.error = OSError() if dice.random() < 0.3 else None
        finally:
            ends.append("over")

    async def tick():
        while not ends or waiting(f):
            clock.advance(0.01)
            await colour.sleep(0)

    readers = 3
    assert await colour.gather(*[read] * readers, write, tick) == [None] * (readers + 2)
    close = f.cache.close if colour.is_sync else f.cache.aclose
    assert await colour.go(close, 20) is True
    assert is_clean(f)


@pytest.mark.parametrize("rounds", range(3))
def test_threads_come_and_go_without_a_pause(clock, rounds):
    """Threads that call, refresh, invalidate and move the time on for a while get right values, and leave nothing."""
    version, wrong, stop = [0], [], threading.Event()

    @resilient(
        cache=CacheConfig(**{**ZONES, "soft_timeout": 1, "wait_timeout": 1}, max_reloads=2, max_size=3), clock=clock
    )
    def f(x):
        if version[0] % 5 == 4:
            raise OSError
        return x, version[0]

    def call(seed):
        number = seed
        while not stop.is_set():
            number = (number * 1103515245 + 12345) % 2**31
            x = number % 5
            try:
                if number % 41 == 0:
                    f.cache.invalidate(x)
                elif number % 43 == 0:
                    f.cache.refresh(x)
                elif number % 97 == 0:
                    f.cache.clear()
                else:
                    got = f(x)
                    if got[0] != x or got[1] > version[0]:
                        wrong.append((x, got))
            except OSError:
                pass
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(1, 7)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        version[0] += 1
        clock.advance(3)
        threading.Event().wait(0.004)
    version[0] += version[0] % 5 == 4
    stop.set()
    for _ in range(100):
        clock.advance(1)
        threading.Event().wait(0.001)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert wrong == []
    assert f.cache.close(PATIENCE) is True
    assert is_clean(f)
