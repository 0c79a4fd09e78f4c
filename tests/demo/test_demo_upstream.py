"""The upstream of the demo: a real process, with real troubles, that leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from benchmarks.demo.child import Upstream, UpstreamDiedError
from benchmarks.demo.clients import TRANSIENT, Product, connect
from benchmarks.demo.upstream import _product

SEED = 3
"""With this one the first four requests of an outage fail at once: some are answered, some reset, none hangs."""


@pytest.fixture
def upstream():
    with Upstream(SEED) as upstream:
        yield upstream


def outcomes(fetch, tries):
    for number in range(1, tries + 1):
        try:
            yield fetch(number)
        except TRANSIENT as error:
            yield error


def test_both_clients_bring_the_product_that_was_asked_for(upstream):
    """What arrives through either client is what the service has, and every request is counted there."""
    clients = connect(upstream.port, lambda event: None).bare()
    answers = list(outcomes(clients.fetch, 5)) + list(outcomes(lambda n: asyncio.run(clients.fetch_async(n)), 5))
    products = [answer for answer in answers if isinstance(answer, Product)]
    assert products
    assert all(product == Product(**_product(product.number)) for product in products)
    assert upstream.stats() == {"requests": 10, "peak": 1}


def test_nothing_is_answered_in_an_outage_and_the_outage_heals(upstream):
    """As long as it lasts every request fails, in one of its ways; afterwards products come again."""
    clients = connect(upstream.port, lambda event: None).bare()
    upstream.fare("outage")
    assert not any(isinstance(each, Product) for each in outcomes(clients.fetch, 4))
    upstream.fare("healthy")
    assert any(isinstance(each, Product) for each in outcomes(clients.fetch, 10))


def test_an_upstream_that_died_is_told():
    """Whoever asks a dead upstream hears of it, with its exit code, whether it died just now or long ago."""
    with Upstream(SEED) as upstream:
        os.kill(upstream.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(UpstreamDiedError, match="exit code -9"):
                upstream.stats()


def test_an_upstream_ends_with_its_demo():
    """When the demo is gone, however it went, the input of the upstream ends, and so does the upstream."""
    command = [sys.executable, "-m", "benchmarks.demo.upstream", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert b"port" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(timeout=20) == 0
