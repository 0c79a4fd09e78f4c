"""The page of real functions, served by the real app."""

from __future__ import annotations

import threading
import time

import pytest
from crowds import waiting
from page_looks import ASK_NOW, column, drawn, live, names, strong, until

from pyresilience import CacheConfig, CircuitBreakerConfig, RetryConfig, resilient
from pyresilience.http.server import Server
from pyresilience.http.wsgi import mounted, resilience_app
from pyresilience.testing import FakeClock


def nothing_here(environ, start_response):
    """An application without a page of its own."""
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]


@pytest.mark.parametrize("prefix", ["", "/ops/cache"])
def test_calls_of_real_functions_are_seen(look, prefix):
    """Hits, loads, failures and an open circuit reach the page, and what happens later follows."""

    @resilient(cache=CacheConfig(enable_metrics=True))
    def price(article):
        return article * 2

    @resilient(
        cache=CacheConfig(enable_metrics=True),
        retry=RetryConfig(max_attempts=2, delay=0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=4, recovery_timeout=600),
    )
    def charge(order):
        raise ConnectionError(order)

    for call in range(300):
        price(call % 3)
    app = resilience_app([price, charge])
    with Server(mounted(nothing_here, prefix, app) if prefix else app) as server:
        page = live(look(server.url + (prefix or "/")))
        assert page.url == f"{server.url}{prefix}/"
        assert column(page, "Calls")[0] == "300"
        assert column(page, "Hit ratio")[0] == "99.0\u202f%"
        assert strong(drawn(page, "#chart-ratio", (500, 10, 220, 110)))
        for order in range(4):
            with pytest.raises(Exception, match=r"\d|open"):
                charge(order)
        page.evaluate(ASK_NOW)
        until(page, "document.querySelector('#tile-circuits b').textContent === '1 of 1'")
        assert names(page)[0].endswith("charge")
        assert column(page, "Circuit")[0] == "open"
        assert strong(drawn(page, "#chart-circuits", (600, 2, 140, 18)))


def test_what_options_do_is_seen(look):
    """Stale answers, waits in vain, results that are too large, evictions by cause, reloads: all exact, in table and chart."""
    clock, go, inside, down = FakeClock(1000.0), threading.Event(), threading.Event(), set()
    config = CacheConfig(
        max_size=3,
        ttl=10,
        stale_while_revalidate=5,
        stale_if_error=100,
        reload_cooldown=0,
        wait_timeout=5,
        max_entry_weight=99,
        weigher=int,
        enable_metrics=True,
    )

    @resilient(cache=config, clock=clock)
    def price(article):
        if article == 7 and not inside.is_set():
            inside.set()
            go.wait(20)
        if article in down:
            raise ConnectionError
        return article

    with Server(resilience_app([price])) as server:
        for article in (1, 1, 2, 3, 4, 100):  # 1 has to go for 4, and 100 is too large
            price(article)
        page = live(look(server.url + "/"))
        price.cache.invalidate(2)
        clock.advance(10)
        down.add(3)
        price(3)  # stale, and its reload fails
        _until(lambda: price.cache.info().reloading == 0)
        clock.advance(5)
        price(3)  # stale, as the run fails
        callers = [threading.Thread(target=price, args=(7,)) for _ in range(2)]
        callers[0].start()
        assert inside.wait(20)
        callers[1].start()
        _until(lambda: waiting(price))
        clock.advance(5)
        callers[1].join(20)
        go.set()
        callers[0].join(20)
        page.evaluate(ASK_NOW)
        until(
            page,
            "[...document.querySelectorAll('td')].some(each => each.dataset.label === 'wait timeouts' && each.textContent === '1')",
        )
        cells = page.eval_on_selector_all(
            "tbody td:not([hidden])", "all => all.map(each => [each.dataset.label, each.textContent])"
        )
        shown = dict(cells)
        wanted = {
            "calls": "10", "fresh hits": "1", "coalesced hits": "0", "served stale": "2", "stale hits": "2",
            "wait timeouts": "1", "recalculations": "9", "entries": "3 / 3", "size limit rejections": "1",
            "evicted by size": "1", "expired": "0", "invalidated": "1", "success": "7", "failure": "2",
            "reloads failed": "1",
        }  # fmt: skip
        assert {name: shown[name] for name in wanted} == wanted
        assert strong(drawn(page, "#chart-calls", (500, 10, 220, 110)))


def _until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
