"""The page of real functions, served by the real app."""

from __future__ import annotations

import pytest
from page_looks import ASK_NOW, column, drawn, live, names, strong, until

from pyresilience import CacheConfig, CircuitBreakerConfig, RetryConfig, resilient
from pyresilience.http.server import Server
from pyresilience.http.wsgi import mounted, resilience_app


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
