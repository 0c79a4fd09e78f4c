"""Durations as Go prints them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience._go_duration import go_duration

UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "µs": 10**3, "ns": 1}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0, "0s"),
        (-0.0, "0s"),
        (0.5, "500ms"),
        (1.5, "1.5s"),
        (1, "1s"),
        (90, "1m30s"),
        (300, "5m0s"),
        (300.0, "5m0s"),
        (3600, "1h0m0s"),
        (3661.25, "1h1m1.25s"),
        (86400, "24h0m0s"),
        (1e-9, "1ns"),
        (1.1e-6, "1.1µs"),
        (2.2e-3, "2.2ms"),
        (0.999999999, "999.999999ms"),
        (0.9999999999, "1s"),
        (1e-10, "0s"),
        (0.1, "100ms"),
        (60.001, "1m0.001s"),
        (31536000.1, "8760h0m0.1s"),
        (-90, "-1m30s"),
    ],
)
def test_durations_print_as_go_prints_them(seconds, text):
    """The documented examples, the bounds between the units, and the rounding to nanoseconds."""
    assert go_duration(seconds) == text


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf])
def test_what_is_no_duration_is_refused(seconds):
    """Infinite durations and NaN are refused with a message that shows them."""
    with pytest.raises(ValueError, match="finite number of seconds, got"):
        go_duration(seconds)


@given(st.integers(min_value=0, max_value=2**62))
def test_no_nanosecond_is_lost(nanoseconds):
    """What is printed, read back, is what was given, to a float's precision."""
    seconds = nanoseconds / 10**9
    parts = re.findall(r"(\d+)(?:\.(\d+))?(h|ms|m|s|µs|ns)", go_duration(seconds))
    total = sum(
        int(whole) * UNITS[unit] + int((rest or "0").ljust(9, "0")) * UNITS[unit] // 10**9
        for whole, rest, unit in parts
    )
    assert total / 10**9 == pytest.approx(seconds, rel=1e-15, abs=1e-9)
