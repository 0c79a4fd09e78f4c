"""A wrong setting is refused when it is made, in words that say config, field, rule and value."""

import dataclasses
import math
from datetime import timedelta

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    FallbackConfig,
    RateLimiterConfig,
    ResilienceConfig,
    RetryBudgetConfig,
    RetryConfig,
    TimeoutConfig,
    _settings,
    resilient,
)
from pyresilience.sandbox import Limits

DEFAULTS = {
    CacheConfig: {"max_size": 256, "ttl": 300.0},
    RetryConfig: {
        "max_attempts": 3,
        "delay": 1.0,
        "backoff_factor": 2.0,
        "max_delay": 60.0,
        "jitter": True,
        "retry_on": (Exception,),
        "ignore_on": (),
        "retry_on_result": None,
        "delay_func": None,
        "wait": None,
        "stop": None,
        "retry": None,
    },
    RetryBudgetConfig: {"max_retries": 100, "refill_rate": 10.0},
    TimeoutConfig: {"seconds": 30.0, "per_attempt": True, "pool_size": None},
    CircuitBreakerConfig: {
        "failure_threshold": 5,
        "recovery_timeout": 30.0,
        "success_threshold": 2,
        "error_types": (Exception,),
        "ignore_on": (),
        "sliding_window_size": 0,
        "failure_rate_threshold": 0.5,
        "minimum_calls": 0,
        "slow_call_duration": 0.0,
        "slow_call_rate_threshold": 1.0,
        "half_open_max_calls": None,
        "window_seconds": 0.0,
        "failure_if": None,
    },
    FallbackConfig: {"handler": None, "fallback_on": (Exception,)},
    BulkheadConfig: {"max_concurrent": 10, "max_wait": 0.0},
    RateLimiterConfig: {"max_calls": 10, "period": 1.0, "max_wait": 0.0},
}

WHOLE = [
    (CacheConfig, "max_size", 1),
    (RetryConfig, "max_attempts", 1),
    (RetryBudgetConfig, "max_retries", 1),
    (TimeoutConfig, "pool_size", 1),
    (CircuitBreakerConfig, "failure_threshold", 1),
    (CircuitBreakerConfig, "success_threshold", 1),
    (CircuitBreakerConfig, "sliding_window_size", 0),
    (CircuitBreakerConfig, "minimum_calls", 0),
    (CircuitBreakerConfig, "half_open_max_calls", 1),
    (BulkheadConfig, "max_concurrent", 1),
    (RateLimiterConfig, "max_calls", 1),
]
"""Whole numbers, and the least allowed."""

DURATIONS = [
    (CacheConfig, "ttl", True, False),
    (RetryConfig, "delay", True, False),
    (RetryConfig, "max_delay", True, False),
    (TimeoutConfig, "seconds", False, False),
    (CircuitBreakerConfig, "recovery_timeout", True, False),
    (CircuitBreakerConfig, "slow_call_duration", True, False),
    (CircuitBreakerConfig, "window_seconds", True, False),
    (BulkheadConfig, "max_wait", True, True),
    (RateLimiterConfig, "period", False, False),
    (RateLimiterConfig, "max_wait", True, True),
]
"""Durations, whether 0 is one, and whether infinity is."""

NUMBERS = [
    (RetryConfig, "backoff_factor", 0, None),
    (RetryBudgetConfig, "refill_rate", 0, None),
    (CircuitBreakerConfig, "failure_rate_threshold", None, 1),
    (CircuitBreakerConfig, "slow_call_rate_threshold", None, 1),
]
"""Other numbers, the least (None: above 0), and the most."""

ERRORS = [
    (RetryConfig, "retry_on", True),
    (RetryConfig, "ignore_on", False),
    (CircuitBreakerConfig, "error_types", False),
    (CircuitBreakerConfig, "ignore_on", False),
    (FallbackConfig, "fallback_on", True),
]
"""Fields that name exceptions, and whether a predicate is allowed."""

FUNCTIONS = [
    (RetryConfig, "retry_on_result"),
    (RetryConfig, "delay_func"),
    (RetryConfig, "wait"),
    (RetryConfig, "stop"),
    (RetryConfig, "retry"),
    (CircuitBreakerConfig, "failure_if"),
]


def refused(config, field, value, kind=(ValueError, TypeError)):
    """The message must name config, field and value, a timedelta's in seconds."""
    with pytest.raises(kind) as caught:
        config(**{field: value})
    shown = value.total_seconds() if isinstance(value, timedelta) else value
    assert all(part in str(caught.value) for part in (config.__name__, field, repr(shown)))


@pytest.mark.parametrize(("config", "fields"), DEFAULTS.items())
def test_fields_and_defaults_are_those_of_the_contract(config, fields):
    """Every contracted field is there with its default; others may follow."""
    made = config()
    assert {name: getattr(made, name) for name in fields} == fields
    order = [field.name for field in dataclasses.fields(config) if field.name in fields]
    assert order == list(fields)


@pytest.mark.parametrize("config", [*DEFAULTS, Limits])
def test_defaults_would_pass_the_checks_that_skip_them(config, monkeypatch):
    """A setting that is left alone is not looked at; if it were, it would be taken, and as it stands."""
    left_alone = repr(config())
    monkeypatch.setattr(_settings, "_is_default", lambda config, field: False)
    assert repr(config()) == left_alone


def test_defaults_of_a_config_of_ones_own_are_checked():
    """Who derives a config, and gives a field another default, is told what is wrong with it."""

    @dataclasses.dataclass(frozen=True)
    class Small(CacheConfig):
        max_size: int = 0

    @dataclasses.dataclass(frozen=True)
    class Stubborn(RetryConfig):
        retry_on: object = OSError
        delay: object = "5m"

    with pytest.raises(ValueError, match=r"Small: max_size must be >= 1, got 0"):
        Small()
    assert (Stubborn().retry_on, Stubborn().delay) == ((OSError,), 300.0)


def test_every_numeric_field_is_tried_here():
    """The tables above leave out no field of any config but switches and free ones."""
    tried = {(config, field) for table in (WHOLE, DURATIONS, NUMBERS, ERRORS, FUNCTIONS) for config, field, *_ in table}
    free = {(TimeoutConfig, "per_attempt"), (RetryConfig, "jitter"), (FallbackConfig, "handler")}
    assert tried | free == {(config, field) for config, fields in DEFAULTS.items() for field in fields}


@pytest.mark.parametrize("config", DEFAULTS)
def test_configs_are_frozen(config):
    """A config cannot be changed once it is made."""
    made = config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(config)[0].name, 1)


@pytest.mark.parametrize("config", DEFAULTS)
def test_configs_compare_by_value(config):
    """Two configs with the same settings are equal."""
    assert config() == config()


@pytest.mark.parametrize(("config", "field", "least"), WHOLE)
def test_whole_numbers(config, field, least):
    """Whole numbers from the least on are taken; nothing else is."""
    assert getattr(config(**{field: least}), field) == least
    refused(config, field, least - 1, ValueError)
    for bad in (1.5, 2.0, math.nan, math.inf, "3", True, [], b"3", 1j):
        refused(config, field, bad)
    if field not in ("pool_size", "half_open_max_calls"):
        refused(config, field, None, TypeError)


@pytest.mark.parametrize(("config", "field", "zero", "endless"), DURATIONS)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (2, 2.0),
        (0.25, 0.25),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        ("250ms", 0.25),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("1h 2m 3s", 3723.0),
        ("2D", 172800.0),
    ],
)
def test_durations(config, field, zero, endless, value, seconds):
    """Numbers, timedeltas and text are taken and kept as seconds."""
    settings = {"sliding_window_size": 0, "window_seconds": 0} if config is CircuitBreakerConfig else {}
    assert getattr(config(**{**settings, field: value}), field) == pytest.approx(seconds)


@pytest.mark.parametrize(("config", "field", "zero", "endless"), DURATIONS)
def test_what_is_no_duration(config, field, zero, endless):
    """Negative, endless and meaningless durations are refused, by value and by type."""
    for bad in (
        -1,
        -0.001,
        math.nan,
        -math.inf,
        timedelta(seconds=-1),
        "",
        "5",
        "5 minutes",
        "m",
        "-5s",
        "1e3s",
        "nan",
    ):
        refused(config, field, bad, ValueError)
    for bad in (True, [], None, object(), b"5s", 1j):
        refused(config, field, bad, TypeError)
    if zero:
        assert getattr(config(**{field: 0}), field) == 0
    else:
        refused(config, field, 0, ValueError)
    if endless:
        assert getattr(config(**{field: math.inf}), field) == math.inf
    else:
        refused(config, field, math.inf, ValueError)


@pytest.mark.parametrize(("config", "field", "least", "most"), NUMBERS)
def test_other_numbers(config, field, least, most):
    """Within their bounds they are taken; at and beyond them they are not."""
    assert getattr(config(**{field: 0.75}), field) == 0.75
    refused(config, field, -0.5, ValueError)
    if least is None:
        refused(config, field, 0, ValueError)
    if most is not None:
        assert getattr(config(**{field: most}), field) == most
        refused(config, field, most + 0.1, ValueError)
    for bad in (math.nan, math.inf, "0.5", None, True, []):
        refused(config, field, bad)


@pytest.mark.parametrize(("config", "field"), [row[:2] for table in (WHOLE, DURATIONS, NUMBERS) for row in table])
def test_a_number_beyond_the_range_of_floats(config, field):
    """A whole number too large for a float is taken, or refused like any other wrong value."""
    try:
        config(**{field: 10**400})
    except (ValueError, TypeError) as error:
        assert field in str(error)


@pytest.mark.parametrize(("config", "field", "predicate"), ERRORS)
def test_exceptions(config, field, predicate):
    """One class or a sequence of them is taken, and a predicate where one is allowed."""
    for value in (OSError, [OSError], (OSError,), {OSError}):
        assert getattr(config(**{field: value}), field) == (OSError,)
    for bad in ("OSError", int, [int], OSError(), [OSError()], None, 3, {"a": 1}):
        refused(config, field, bad, TypeError)
    if predicate:
        assert config(**{field: callable})
    else:
        refused(config, field, callable, TypeError)


@pytest.mark.parametrize(("config", "field"), FUNCTIONS)
def test_functions(config, field):
    """Something to call, or None."""
    assert getattr(config(**{field: callable}), field) is callable
    assert getattr(config(**{field: None}), field) is None
    for bad in (3, "callable", [callable]):
        refused(config, field, bad, TypeError)


@pytest.mark.parametrize("jitter", [True, False, None, "full", "equal", "decorrelated"])
def test_kinds_of_jitter(jitter):
    """These kinds are known."""
    assert RetryConfig(jitter=jitter).jitter is jitter


@pytest.mark.parametrize("jitter", ["none", "Full", "", 1, 0, 0.5, []])
def test_other_jitter_is_refused(jitter):
    """Others are not."""
    refused(RetryConfig, "jitter", jitter)


@pytest.mark.parametrize("value", [None, 1, 0, "yes"])
def test_per_attempt_is_a_switch(value):
    """It is True or False and nothing that only looks like it."""
    refused(TimeoutConfig, "per_attempt", value, TypeError)


def test_two_windows_exclude_each_other():
    """A window is over calls or over time."""
    with pytest.raises(ValueError, match="window_seconds"):
        CircuitBreakerConfig(sliding_window_size=5, window_seconds=5)


def test_minimum_calls_fit_into_the_window():
    """A rate that could never count is refused."""
    with pytest.raises(ValueError, match="minimum_calls"):
        CircuitBreakerConfig(sliding_window_size=5, minimum_calls=6)


def test_the_message_of_the_contract():
    """Rule, field and value stand in the message as contracted."""
    with pytest.raises(ValueError, match="max_size must be >= 1, got 0"):
        CacheConfig(max_size=0)


PARAMETERS = [field.name for field in dataclasses.fields(ResilienceConfig)]


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("value", [3, "x", {}, RetryConfig, pytest.param(object(), id="object")], ids=repr)
def test_a_config_of_the_wrong_type_is_refused(parameter, value):
    """At decoration, naming the parameter."""
    with pytest.raises(TypeError, match=parameter):
        resilient(**{parameter: value})


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_config_in_the_wrong_place_is_refused(parameter):
    """A valid config given to another parameter is named as wrong there."""
    other = TimeoutConfig() if parameter != "timeout" else RetryConfig()
    with pytest.raises(TypeError, match=parameter):
        resilient(**{parameter: other})


@pytest.mark.parametrize("name", [3, b"f", pytest.param(object(), id="object")], ids=repr)
def test_a_name_is_text(name):
    """`name=` takes nothing else."""
    with pytest.raises(TypeError, match="name"):
        resilient(name=name)


@pytest.mark.parametrize("clock", [3, "clock", pytest.param(object(), id="object")], ids=repr)
def test_a_clock_is_a_clock(clock):
    """What cannot tell the time, sleep and ring is refused."""
    with pytest.raises(TypeError, match="clock"):
        resilient(clock=clock)
