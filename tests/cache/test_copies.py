"""What callers get who may change it: the result itself, or a copy of their own."""

from __future__ import annotations

import pytest

from pyresilience import CacheConfig
from pyresilience.cache.copies import copier


def test_none_is_no_copier():
    """Nothing is called where nothing is copied."""
    assert copier("none") is None


def test_shallow_copies_are_of_the_outside():
    """A shallow copy is another container of the same things."""
    kept = {"rows": [1, 2]}
    copy = copier("shallow")(kept)
    assert copy == kept
    assert copy is not kept
    assert copy["rows"] is kept["rows"]


def test_deep_copies_are_of_everything():
    """A deep copy shares nothing that can change."""
    kept = {"rows": [1, 2]}
    copy = copier("deep")(kept)
    copy["rows"].append(3)
    assert kept == {"rows": [1, 2]}


def test_a_function_copies_as_it_likes():
    """What the function makes of the result is what callers get."""
    assert copier(sorted)([2, 1]) == [1, 2]


@pytest.mark.parametrize("settings", ["shallow", "deep", list])
def test_callers_may_change_what_they_got(colour, settings):
    """With a copy for each, neither the first caller nor a later one changes what others get."""
    fetch = colour.decorate(lambda: [1], cache=CacheConfig(copy=settings))
    for _ in range(3):
        rows = colour.call(fetch)
        assert rows == [1]
        rows.append(2)
    assert fetch.cache_info()[:2] == (2, 1)


def test_without_copies_callers_share(colour):
    """By default all get the very result that is kept."""
    fetch = colour.decorate(lambda: [1], cache=CacheConfig())
    assert colour.call(fetch) is colour.call(fetch)


async def test_those_who_waited_get_copies_too(colour):
    """The leader and each of its followers have a result of their own."""
    started, go = colour.event(), colour.event()

    async def body():
        started.set()
        await go.wait()
        return [1]

    fetch = colour.decorate(body, cache=CacheConfig(copy="deep"))

    async def release():
        await started.wait()
        await colour.sleep(0.02)
        go.set()

    ends = await colour.gather(*[lambda: colour.go(fetch)] * 3, release)
    rows = ends[:3]
    assert rows == [[1]] * 3
    assert len({id(each) for each in rows}) == 3
