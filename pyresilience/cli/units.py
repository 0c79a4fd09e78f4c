"""Numbers as people read them, in few characters; None reads `-`."""

from __future__ import annotations

import unicodedata

NOTHING = "-"
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_EXACT = 99_999.5


def count(value: float | None) -> str:
    """A whole number: all of it below 100 000, then `123k`, `1.23M`."""
    if value is None:
        return NOTHING
    return f"{value:.0f}" if abs(value) < _EXACT else _scaled(value, _LARGE, "")


def percent(value: float | None) -> str:
    """A share of 1 as `93.1%`; only all reads `100%`, and only nothing `0%`."""
    if value is None:
        return NOTHING
    if 0.999 < value < 1:
        return ">99.9%"
    if 0 < value < 0.001:
        return "<0.1%"
    return f"{value * 100:.0f}%" if value in (0, 1) else f"{value * 100:.1f}%"


def latency(value: float | None) -> str:
    """Seconds: `237ns`, `31.2µs`, `2.50ms`, `1.20s`."""
    if value is None:
        return NOTHING
    return "0s" if value <= 0 else _scaled(value, _TIMES, "ns")


def size(value: float | None) -> str:
    """Bytes: `512B`, `1.23kB`, `12.3MB`."""
    if value is None:
        return NOTHING
    return f"{value:.0f}B" if value < 999.5 else f"{_scaled(value, _LARGE, '')}B"


def safe(text: str) -> str:
    """*text* without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def width(text: str) -> int:
    """Columns that *text* takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def shortened(text: str, columns: int) -> str:
    """*text* in at most so many columns: of a name, the end says the most."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[1:]
    return f"…{text}"


def _scaled(value: float, scales: tuple[tuple[float, str], ...], smallest: str) -> str:
    scale, unit = next(
        ((scale, unit) for scale, unit in scales if value >= scale * 0.9995), (scales[-1][0], smallest or scales[-1][1])
    )
    number = value / scale
    return f"{number:.{0 if number >= 99.95 else 1 if number >= 9.995 else 2}f}{unit}"
