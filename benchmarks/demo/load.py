"""The callers: threads and tasks that ask for products, popular ones more often, until they are told to stop."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time

from pyresilience import ResilienceError, resilience_context

from .clients import TRANSIENT, UNKNOWN, Clients, Product
from .scoreboard import Scoreboard

THREADS = 24
TASKS = 100

PRODUCTS = 300
"""How many products there are to ask for."""

SKEW = 1.05
"""The product of rank r is asked for r ** SKEW times less often than the first (Zipf's law)."""

THINK = 0.04
"""Seconds a caller waits between two calls, on average."""

EXPECTED = (*TRANSIENT, ResilienceError)
"""What a call may raise; anything else is a fault of the demo, or of the library."""


class Customer:
    """When to call next, and what for. The same seed makes the same customer."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._weights = list(itertools.accumulate(rank**-SKEW for rank in range(1, PRODUCTS + 1)))

    def pause(self) -> float:
        """Seconds until the next call."""
        return min(self._dice.expovariate(1 / THINK), 5 * THINK)

    def choice(self) -> int:
        """The number of a product, from 1; the lower, the more popular."""
        return self._dice.choices(range(1, PRODUCTS + 1), cum_weights=self._weights)[0]


class Crowd:
    """All the callers. The tasks live in an event loop of their own, in a thread of its own."""

    def __init__(self, clients: Clients, board: Scoreboard, *, threads: int = THREADS, tasks: int = TASKS) -> None:
        self._clients = clients
        self._board = board
        self._stopping = False
        self._tasks = range(threads, threads + tasks)
        self._members = [threading.Thread(target=self._shop, args=(seed,), daemon=True) for seed in range(threads)]
        self._members.append(threading.Thread(target=self._run_tasks, daemon=True))
        self.faults: list[BaseException] = []
        """What went wrong that may not go wrong."""

    def start(self) -> None:
        """Let them call."""
        for member in self._members:
            member.start()

    def stop(self) -> None:
        """Let no call begin any more."""
        self._stopping = True

    @property
    def under_way(self) -> bool:
        """Whether somebody has not gone home yet."""
        return any(member.is_alive() for member in self._members)

    def _shop(self, seed: int) -> None:
        customer, fetch, facts = Customer(seed), self._clients.fetch, self._board.notebook()
        try:
            while True:
                time.sleep(customer.pause())
                if self._stopping:
                    return
                facts.clear()
                number = customer.choice()
                resilience_context.set({"product": number})
                began = time.perf_counter()
                try:
                    outcome = _judge(fetch(number), number)
                except EXPECTED:
                    outcome = "errors"
                self._board.ended(outcome, facts, time.perf_counter() - began)
        except BaseException as fault:
            self.faults.append(fault)

    async def _shop_async(self, seed: int) -> None:
        customer, fetch, facts = Customer(seed), self._clients.fetch_async, self._board.notebook()
        try:
            while True:
                await asyncio.sleep(customer.pause())
                if self._stopping:
                    return
                facts.clear()
                number = customer.choice()
                resilience_context.set({"product": number})
                began = time.perf_counter()
                try:
                    outcome = _judge(await fetch(number), number)
                except EXPECTED:
                    outcome = "errors"
                self._board.ended(outcome, facts, time.perf_counter() - began)
        except BaseException as fault:
            self.faults.append(fault)

    def _run_tasks(self) -> None:
        async def everybody() -> None:
            async with asyncio.TaskGroup() as group:
                for seed in self._tasks:
                    group.create_task(self._shop_async(seed))

        asyncio.run(everybody())


def _judge(product: Product, number: int) -> str:
    """What a caller makes of an answer."""
    if product is UNKNOWN:
        return "none"
    if product.number != number:
        raise AssertionError(f"asked for product {number}, got {product.number}")
    return "old" if product.old else "good"
