"""Every option of a cache is checked when it is made, and by default asks for nothing."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from contextvars import ContextVar
from datetime import timedelta
from fractions import Fraction

import pytest

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.cache.flights import Flights
from pyresilience.cache.keeping import PlainKeeper
from pyresilience.cache.shelf import Shelf
from pyresilience.testing import EventRecorder, FakeClock

DEFAULTS = {
    "max_size": 256,
    "ttl": 300.0,
    "key": None,
    "on_unhashable": "raise",
    "enable_metrics": False,
    "metrics_sampling_rate": 1.0,
    "refresh_ahead": None,
    "stale_while_revalidate": 0.0,
    "stale_if_error": 0.0,
    "stale_on": (Exception,),
    "reload_cooldown": 1.0,
    "soft_timeout": None,
    "max_reloads": 8,
    "wait_timeout": None,
    "on_wait_timeout": "compute",
    "jitter": 0.0,
    "early_beta": 0.0,
    "tti": 0.0,
    "cache_if": None,
    "cache_exceptions": (),
    "negative_ttl": 5.0,
    "max_weight": None,
    "weigher": None,
    "max_entry_weight": None,
    "policy": "lru",
    "tags": None,
    "ignore": (),
    "vary": (),
    "version": "",
    "copy": "none",
}

DURATIONS = {
    "ttl": 0,
    "stale_while_revalidate": 0,
    "stale_if_error": 0,
    "reload_cooldown": 0,
    "soft_timeout": 0,
    "wait_timeout": 0,
    "jitter": 0,
    "tti": 0,
    "negative_ttl": None,
}
"""Durations, and the least; None: above 0."""

SIZES = ["max_weight", "max_entry_weight"]
ERRORS = ["stale_on", "cache_exceptions"]
FUNCTIONS = ["ttl", "key", "cache_if", "weigher", "tags", "copy"]
CHOICES = {
    "on_unhashable": ("raise", "bypass"),
    "on_wait_timeout": ("compute", "stale", "raise"),
    "policy": ("lru", "s3fifo", "sieve", "tinylfu"),
    "copy": ("none", "shallow", "deep"),
    "enable_metrics": (True, False),
}
OPTIONAL = {name for name, default in DEFAULTS.items() if default is None}
NEEDS = {"soft_timeout": {"stale_if_error": 60}}
"""What makes sense only with another."""


def made(field, value):
    """A config with that value there, as it is kept."""
    return getattr(CacheConfig(**{field: value}, **NEEDS.get(field, {})), field)


def refused(field, value, kind=(ValueError, TypeError), rule=""):
    """The message says config, field, rule and what it got, a timedelta's in seconds."""
    with pytest.raises(kind) as caught:
        CacheConfig(**{field: value}, **NEEDS.get(field, {}))
    shown = value.total_seconds() if isinstance(value, timedelta) else value
    message = str(caught.value)
    assert message.startswith(f"CacheConfig: {field} must be {rule}"), message
    assert repr(shown) in message


def test_fields_and_defaults():
    """These are all the options, in this order, with these defaults."""
    config = CacheConfig()
    assert {each.name: getattr(config, each.name) for each in dataclasses.fields(config)} == DEFAULTS
    assert [each.name for each in dataclasses.fields(config)] == [*DEFAULTS]
    assert config == CacheConfig(**DEFAULTS)
    assert hash(config) == hash(CacheConfig(**DEFAULTS))


def test_each_is_documented():
    """The reference names every option once, in the same order."""
    lines = (inspect.getdoc(CacheConfig) or "").splitlines()
    named = [line.split(":")[0].strip() for line in lines if line[:4].isspace() and not line[4:5].isspace()]
    assert [name for name in named if name in DEFAULTS] == [*DEFAULTS]


def test_by_default_nothing_is_asked_for():
    """A cache without options is a plain shelf with plain flights, and no machines of options."""
    cache = ResultCache()
    assert cache.options is None
    assert type(cache.shelf) is Shelf
    assert type(cache.flights) is Flights
    assert type(cache._keeper) is PlainKeeper


@pytest.mark.parametrize(
    "settings",
    [
        {"max_size": 5, "ttl": "5m", "key": hash, "on_unhashable": "bypass", "version": "2"},
        {"vary": (ContextVar("tenant"), int), "ignore": ["x"]},
        {"stale_on": OSError, "negative_ttl": 9, "reload_cooldown": 9, "max_reloads": 2, "on_wait_timeout": "raise"},
    ],
    ids=["basics", "keys", "zones"],
)
def test_what_changes_nothing_costs_nothing(settings):
    """What belongs to an option that is off, or to keys, does not bring its machines in."""
    config = CacheConfig(**settings)
    ours = {"key", "on_unhashable", "version", "vary", "ignore", "max_size", "ttl"} & settings.keys()
    assert (ResultCache(config).options is None) is bool(ours)


def test_an_option_brings_its_machines():
    """Any other option does."""
    others = {
        "ttl": len,
        "refresh_ahead": 0.5,
        "stale_while_revalidate": 1,
        "stale_if_error": 1,
        "wait_timeout": 1,
        "jitter": 1,
        "early_beta": 1,
        "tti": 1,
        "cache_if": bool,
        "cache_exceptions": OSError,
        "max_weight": 1,
        "weigher": len,
        "max_entry_weight": 1,
        "policy": "sieve",
        "tags": (),
        "copy": "deep",
    }
    for name, value in others.items():
        assert ResultCache(CacheConfig(**{name: value})).options is not None, name


@pytest.mark.parametrize("field", DURATIONS)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(2, 2.0), (0.25, 0.25), (timedelta(minutes=1, milliseconds=500), 60.5), ("250ms", 0.25), ("1h 2m 3s", 3723.0)],
)
def test_durations(field, value, seconds):
    """Numbers, timedeltas and text are taken and kept as seconds; the jitter as it was given, as it may be a fraction."""
    assert made(field, value) == (value if field == "jitter" else seconds)


@pytest.mark.parametrize(("field", "least"), DURATIONS.items())
def test_what_is_no_duration(field, least):
    """Negative, endless and meaningless ones are refused, by value and by type."""
    for bad in (-1, -0.001, math.nan, math.inf, -math.inf, timedelta(seconds=-1), "", "5", "5 minutes", "-5s", "nan"):
        refused(field, bad, ValueError)
    for bad in (True, [], object(), b"5s", 1j, Fraction(1, 2)):
        refused(field, bad, TypeError)
    if field not in OPTIONAL:
        refused(field, None, TypeError, "a number of seconds, a timedelta or text such as '5m'")
    if least is None:
        refused(field, 0, ValueError, "> 0")
    else:
        assert made(field, 0) == 0
        refused(field, -1, ValueError, ">= 0")


@pytest.mark.parametrize("bad", ["10%", "0.1", "half"])
def test_jitter_is_no_text_without_a_unit(bad):
    """A fraction is a number; text is a time, and says in what."""
    refused("jitter", bad, ValueError, "a duration such as '250ms'")


@pytest.mark.parametrize(("field", "least"), [("max_size", 1), ("max_reloads", 1)])
def test_whole_numbers(field, least):
    """Whole numbers from the least on, and nothing else."""
    assert made(field, least) == least
    refused(field, least - 1, ValueError, f">= {least}")
    for bad in (1.5, 2.0, math.nan, "3", True, None, []):
        refused(field, bad, TypeError, "a whole number")
    with pytest.raises(ValueError, match=f"CacheConfig: {field} must be"):
        CacheConfig(**{field: 10**400})


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("refresh_ahead", [0.001, 0.8, 0.999], [0, 1, -0.5, 1.5, 80]),
        ("early_beta", [0, 0.5, 1, 10], [-0.1]),
        ("metrics_sampling_rate", [0, 0.5, 1], [-0.1, 1.1]),
    ],
)
def test_other_numbers(field, good, bad):
    """Within their bounds they are taken; at and beyond them they are not."""
    for value in good:
        assert made(field, value) == value
    for value in (*bad, math.nan, math.inf):
        refused(field, value, ValueError)
    for value in ("0.5", True, [], "5m"):
        refused(field, value, TypeError, "a number")


@pytest.mark.parametrize("field", SIZES)
def test_sizes(field):
    """Numbers above 0 and text with a unit; nothing else."""
    assert made(field, None) is None
    assert made(field, 5) == made(field, "5B") == 5
    assert made(field, "64MB") == 64e6
    for bad in ("64XB", "MB", "-1MB", "1 2MB", "1e3", "", "64M"):
        refused(field, bad, ValueError, "a number or a size such as '64MB' or '1.5GiB'")
    for bad in (0, -1, math.nan, math.inf):
        refused(field, bad, ValueError)
    for bad in (True, [], b"64MB", 1j):
        refused(field, bad, TypeError, "a number")
    with pytest.raises(ValueError, match=f"CacheConfig: {field} must be > 0, got 0"):
        CacheConfig(**{field: "0MB"})


@pytest.mark.parametrize("field", ERRORS)
def test_errors(field):
    """One class or several."""
    for value in (OSError, [OSError], (OSError,), {OSError}):
        assert made(field, value) == (OSError,)
    assert made(field, ()) == ()
    for bad in ("OSError", int, [int], OSError(), [OSError()], None, 3, bool, {"a": 1}):
        refused(field, bad, TypeError, "exception classes")


@pytest.mark.parametrize(("field", "choices"), CHOICES.items())
def test_choices(field, choices):
    """One of those, as it is written, and no other; the message lists them."""
    for choice in choices:
        assert made(field, choice) == choice
    listed = "one of " + ", ".join(map(repr, choices))
    for bad in ("", "LRU", "Deep", "other", 0, 1, []):
        refused(field, bad, ValueError, listed)


class Callable:
    """Something to call, at once or to be awaited."""

    def __call__(self, *args):
        return None

    async def later(self, *args):
        return None


class AsyncCallable:
    """Something to be called and awaited."""

    async def __call__(self, *args):
        return None


@pytest.mark.parametrize("field", FUNCTIONS)
def test_functions(field):
    """Functions of every kind are taken; those that must be awaited are refused, as nobody would."""
    one = Callable()
    for function in (len, one, one.__call__, functools.partial(one), lambda result: None, str):
        assert made(field, function) == function
    for function in (one.later, AsyncCallable(), functools.partial(one.later), AsyncCallable().__call__):
        refused(field, function, TypeError, "a plain function, as nobody awaits it")
    for bad in (object(), {1}, None if field == "copy" else 1j):
        refused(field, bad)


def test_tags():
    """Names in any sequence, or a function."""
    assert made("tags", ["a", "b:{x}"]) == ("a", "b:{x}")
    assert made("tags", ()) == ()
    assert made("tags", None) is None
    for bad in ("users", b"users", [1], {"users"}, 3, [None]):
        refused("tags", bad, TypeError, "a sequence of names of tags, or a function")


def test_ignore():
    """Names of parameters in any sequence, and none where the key is made by a function."""
    assert made("ignore", ["session"]) == ("session",)
    for bad in ("session", None, [1], {"session"}):
        refused("ignore", bad, TypeError, "a sequence of names of parameters")
    with pytest.raises(ValueError, match="CacheConfig: ignore must be empty where key is given"):
        CacheConfig(key=hash, ignore=["x"])


def test_vary():
    """Context variables and functions of no argument in any sequence; an async function is refused."""
    tenant = ContextVar("tenant")
    assert made("vary", [tenant, int]) == (tenant, int)
    for bad in (tenant, int, None, ["tenant"], {tenant}):
        refused("vary", bad, TypeError, "a sequence of context variables or functions")
    with pytest.raises(TypeError, match=r"vary\[1\] must be a plain function, got the async .*later"):
        resilient(cache=CacheConfig(vary=(tenant, Callable().later)))(len)


def test_version():
    """Text."""
    assert made("version", "2") == "2"
    for bad in (2, None, b"2", ("2",)):
        refused("version", bad, TypeError, "text")


@pytest.mark.parametrize("more", [{}, {"refresh_ahead": 0.5}, {"wait_timeout": 1}])
def test_a_soft_timeout_needs_an_old_result(more):
    """Without one to answer with it would do nothing, so that is refused."""
    with pytest.raises(ValueError, match="soft_timeout needs an old result .*give stale_if_error or stale_while"):
        CacheConfig(soft_timeout=1, **more)
    assert CacheConfig(soft_timeout=1, stale_while_revalidate=1)


@pytest.mark.parametrize("field", ["key", "ttl", "cache_if", "weigher", "tags", "copy"])
def test_messages_show_no_more_than_they_must(field):
    """A refused function is named, whatever it is."""
    with pytest.raises(TypeError, match="AsyncCallable"):
        CacheConfig(**{field: AsyncCallable()})


def test_configs_are_values():
    """They cannot be changed, compare by value, can be hashed, and made anew with other settings."""
    config = CacheConfig(tags=["a"], cache_exceptions=[OSError], max_weight="1MB", jitter="1s")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.jitter = 1
    assert config == CacheConfig(tags=("a",), cache_exceptions=OSError, max_weight=1e6, jitter="1s")
    assert isinstance(hash(config), int)
    assert dataclasses.replace(config, ttl=1) == CacheConfig(
        tags=["a"], cache_exceptions=[OSError], max_weight="1MB", jitter="1s", ttl=1
    )


OPTIONS = [
    {},
    {"ttl": lambda result: len(result)},
    {"key": lambda x: x // 2},
    {"refresh_ahead": 0.5},
    {"stale_while_revalidate": 10},
    {"stale_if_error": 10, "stale_on": OSError},
    {"stale_if_error": 10, "reload_cooldown": 3},
    {"stale_if_error": 10, "soft_timeout": 60},
    {"wait_timeout": 1, "on_wait_timeout": "raise"},
    {"tti": 4},
    {"cache_if": lambda result: result != "2"},
    {"cache_exceptions": OSError, "negative_ttl": 3},
    {"max_weight": 2, "weigher": len},
    {"max_entry_weight": 1, "weigher": len},
    *[{"policy": policy} for policy in CHOICES["policy"]],
    {"tags": ("all", "{x}")},
    {"tags": lambda x, result: [result], "stale_if_error": 10},
    {"vary": (lambda: 1,), "version": "2"},
    {"copy": "deep", "enable_metrics": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options) or "none")
def test_it_is_the_same_in_every_colour(colour, options):
    """With any option, the same calls have the same ends, events and counts in sync code, asyncio and trio."""

    def told(event):
        return event.event_type.value, str(getattr(event, "source", getattr(event, "reason", "")))

    def play(colour):
        clock, events, runs = FakeClock(1000.0), EventRecorder(), []

        def body(x):
            runs.append(x)
            if len(runs) % 4 == 3:
                raise OSError(x)
            return str(len(runs))

        config = CacheConfig(**{"ttl": 5, "max_size": 3, **options})
        f = colour.decorate(body, cache=config, clock=clock, listeners=[events])

        async def scenario():
            ends = []
            for number, x in enumerate([1, 2, 1, 3, 4, 1, 1, 2, 5, 1, 1, 22, 1, 2, 1, 1, 3, 3]):
                end = await colour.end_of(f, x)
                ends.append(repr(end))
                await colour.until(lambda: f.cache.info().reloading == 0)
                clock.advance(1 + number % 3)
                ends.append((f.cache.peek(x), f.cache.contains(x), str(f.cache.explain(x))))
                if config.tags and number % 5 == 4:
                    f.cache.invalidate_tag("all", soft=number % 2 == 0)
            return ends

        return colour.run(scenario), repr(f.cache.info())

    assert play(colour) == play(type(colour)("sync"))
