"""Every event as one line of JSON, whatever is in it."""

import json
import logging
import math

import pytest

from pyresilience import CacheConfig, FallbackConfig, JsonEventLogger, RetryConfig, resilience_context, resilient
from pyresilience.events import CircuitOpened, Failed, Retrying


@pytest.fixture
def lines(caplog):
    """What was logged."""
    caplog.set_level(logging.DEBUG)
    return lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == "pyresilience"]


def test_one_object_per_event(lines):
    """Each event is one line with its type and function, and empty fields are left out."""

    @resilient(cache=CacheConfig(), listeners=[JsonEventLogger()])
    def fetch(x):
        return x

    fetch(1)
    fetch(1)
    assert [(line["event"], line["function"]) for line in lines()] == [
        ("cache_miss", "fetch"),
        ("success", "fetch"),
        ("cache_hit", "fetch"),
    ]
    assert lines()[0]["reason"] == "cold"
    assert "error" not in lines()[0]


def test_typed_fields_stand_in_the_line(lines):
    """What an event's class adds is logged under its name."""
    JsonEventLogger()(Retrying(function_name="f", attempt=2, error=OSError("down"), delay=1.5, duration=0.25))
    assert lines() == [
        {
            "event": "retry",
            "function": "f",
            "attempt": 2,
            "error": "down",
            "error_type": "OSError",
            "delay": 1.5,
            "duration": 0.25,
        }
    ]


class Hostile(Exception):
    """An error that can be neither shown nor compared nor hashed."""

    def __str__(self):
        raise RuntimeError("str")

    __repr__ = __str__

    def __eq__(self, other):
        raise RuntimeError("eq")

    def __bool__(self):
        raise RuntimeError("bool")

    __hash__ = None


class NoText(Exception):
    def __str__(self):
        return self.args


CYCLE = {}
CYCLE["self"] = CYCLE
DEEP = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "error",
    [
        ValueError('a "quoted"\nsecond line\r\x00\u2028 end'),
        ValueError("\ud800 lone surrogate"),
        ValueError("x" * 100_000),
        Hostile(),
        NoText(),
        ExceptionGroup("many", [ValueError("a"), OSError("b")]),
    ],
    ids=["control characters", "surrogate", "long", "hostile", "no text", "group"],
)
def test_any_error_gives_one_valid_line(lines, caplog, error):
    """Whatever an error's text holds, and if it has none, there is one line and it is JSON."""

    @resilient(listeners=[JsonEventLogger()])
    def f():
        raise error

    with pytest.raises(type(error)):
        f()
    (line,) = lines()
    assert (line["event"], line["error_type"]) == ("failure", type(error).__qualname__)
    assert "\n" not in caplog.records[0].getMessage()
    assert f.pipeline.listener_errors == 0


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        {1, 2},
        b"\xff",
        object(),
        Hostile(),
        CYCLE,
        DEEP,
        10**5000,
        {(1, 2): {None: 1}},
        1j,
    ],
    ids=["nan", "inf", "-inf", "set", "bytes", "object", "hostile", "cycle", "deep", "huge", "keys", "complex"],
)
def test_any_context_gives_one_valid_line(lines, value):
    """Whatever stands in the context, there is one line, it is strict JSON, and the rest of the context is in it."""
    f = resilient(listeners=[JsonEventLogger()])(lambda: 1)
    token = resilience_context.set({"value": value, "request": "r1"})
    try:
        f()
    finally:
        resilience_context.reset(token)
    (line,) = lines()
    assert line["event"] == "success"
    assert line["context"]["request"] == "r1"
    json.dumps(line, allow_nan=False)


def test_logger_and_level_can_be_chosen(caplog):
    """It writes where and as loud as it is told."""
    with caplog.at_level(logging.DEBUG, "audit"):
        JsonEventLogger("audit", logging.WARNING)(Failed(function_name="f"))
    assert [(record.name, record.levelno) for record in caplog.records] == [("audit", logging.WARNING)]


def test_nothing_is_made_for_a_level_that_is_off(monkeypatch):
    """Where the level is not enabled no line is made."""
    monkeypatch.setattr(json, "dumps", lambda *args, **kwargs: pytest.fail("a line was made"))
    logging.getLogger("quiet").setLevel(logging.ERROR)
    JsonEventLogger("quiet", logging.INFO)(Failed(function_name="f"))


def test_a_percent_sign_is_text(lines):
    """Nothing in a line is taken for a format."""
    JsonEventLogger()(CircuitOpened(function_name="100%s", detail="%d %(name)s"))
    assert lines()[0]["function"] == "100%s"


def test_the_error_of_a_fallback_is_told(lines):
    """FALLBACK_USED says what was stood in for."""

    def broken():
        raise OSError("down")

    resilient(fallback=FallbackConfig(1), retry=RetryConfig(max_attempts=1), listeners=[JsonEventLogger()])(broken)()
    assert [line.get("error") for line in lines() if line["event"] == "fallback_used"] == ["down"]
