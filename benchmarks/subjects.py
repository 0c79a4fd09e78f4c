"""The functions that are decorated: they do nothing, so that what is around them is what is seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count


def one(number: int) -> int:
    """Take one argument."""
    return number


def three(first: int, second: int, *, third: int) -> int:  # noqa: ARG001 - a key is made of them
    """Take two arguments and a keyword."""
    return first


def nothing(number: int) -> None:
    """Return what takes no room."""


async def one_async(number: int) -> int:
    """Take one argument."""
    return number


class StumbleError(Exception):
    """What the flaky functions raise."""


def flaky() -> Callable[[int], int]:
    """Make a function that fails twice and then succeeds, over and over."""
    attempts = count(1)

    def third_time_lucky(number: int) -> int:
        if next(attempts) % 3:
            raise StumbleError
        return number

    return third_time_lucky


def flaky_async() -> Callable[[int], Awaitable[int]]:
    """Make a coroutine function that fails twice and then succeeds, over and over."""
    attempts = count(1)

    async def third_time_lucky(number: int) -> int:
        if next(attempts) % 3:
            raise StumbleError
        return number

    return third_time_lucky
