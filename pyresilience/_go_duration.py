"""A duration as Go prints it: `5m0s`."""

from __future__ import annotations

import math

_SECOND = 1_000_000_000
"""Nanoseconds."""
_SMALL = ((1_000_000, "ms"), (1_000, "µs"), (1, "ns"))


def go_duration(seconds: float) -> str:
    """*seconds* as `time.Duration.String` of Go writes it, to the nanosecond.

    `0s`, `500ms`, `1.5s`, `1m30s`, `5m0s`, `1h0m0s`, `24h0m0s`: hours are the largest unit, and below a second the
    largest of ms, µs and ns that makes the number at least 1.

    Raises:
        ValueError: *seconds* is infinite or not a number.
    """
    if not math.isfinite(seconds):
        raise ValueError(f"a duration must be a finite number of seconds, got {seconds!r}")
    from decimal import ROUND_HALF_EVEN, Decimal

    # Decimal, as a float of many days has no room for its nanoseconds.
    total = int((Decimal(repr(float(seconds))) * _SECOND).to_integral_value(ROUND_HALF_EVEN))
    sign, total = ("-", -total) if total < 0 else ("", total)
    if total < _SECOND:
        for size, unit in _SMALL:
            if total >= size:
                return f"{sign}{_number(total, size)}{unit}"
        return "0s"
    minutes, rest = divmod(total, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{_number(rest, _SECOND)}s"
    if hours:
        text = f"{hours}h{minutes}m{text}"
    elif minutes:
        text = f"{minutes}m{text}"
    return sign + text


def _number(amount: int, size: int) -> str:
    """*amount* divided by *size*, without zeros at its end."""
    whole, rest = divmod(amount, size)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)
