"""Every event as one line of JSON in the standard log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from ..events import ResilienceEvent

INFO = 20
"""`logging.INFO`, named without loading logging."""


DEEP = 8
"""Containers nested deeper stand as their `repr`."""
LARGE = 1024
"""Whole numbers of more bits stand in hexadecimal, as text."""

_NAMED = ("event_type", "function_name")
"""Fields that stand first, under names of their own."""


class JsonEventLogger:
    """A listener that logs one JSON object per event, on one line.

    Fields that hold nothing are left out. An error stands as `error` (its text) and `error_type`; what JSON does
    not know, as its `repr`. Arguments and results of calls are never in an event.

    Args:
        logger_name: The logger to write to.
        level: The level to write at, as logging numbers them; the default is INFO.
    """

    def __init__(self, logger_name: str = "pyresilience", level: int = INFO) -> None:
        import logging

        self._logger = logging.getLogger(logger_name)
        self._level = level

    def __call__(self, event: ResilienceEvent) -> None:
        """Write *event*."""
        if not self._logger.isEnabledFor(self._level):
            return
        import json

        line = {"event": event.event_type.value, "function": event.function_name}
        for field in fields(event):
            value = getattr(event, field.name)
            if field.name in _NAMED or _is_nothing(field.name, value):
                continue
            if isinstance(value, BaseException):
                line["error_type"] = type(value).__qualname__
                value = _text(value, str)
            line[field.name] = _plain(value)
        self._logger.log(self._level, "%s", json.dumps(line, allow_nan=False))


def _is_nothing(name: str, value: Any) -> bool:
    return value is None or (name == "attempt" and value == 0) or (isinstance(value, str) and not value)


def _plain(value: Any, depth: int = DEEP) -> Any:
    """*value* as JSON knows it."""
    if isinstance(value, int) and value.bit_length() > LARGE:
        return hex(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if depth and isinstance(value, Mapping):
        return {_text(name, str): _plain(each, depth - 1) for name, each in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [_plain(each, depth - 1) for each in value]
    return _text(value, repr)


def _text(value: Any, say: Any) -> str:
    try:
        return str(say(value))
    except Exception:  # noqa: BLE001 - its own __str__ or __repr__ raises
        return f"<{type(value).__qualname__}>"
