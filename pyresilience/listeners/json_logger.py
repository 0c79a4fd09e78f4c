"""Every event as one line of JSON in the standard log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from ..events import ResilienceEvent


class JsonEventLogger:
    """A listener that logs one JSON object per event, on one line.

    Fields that hold nothing are left out. An error stands as `error` (its text) and `error_type`; what JSON does
    not know, as its `repr`. Arguments and results of calls are never in an event.

    Args:
        logger_name: The logger to write to.
        level: The level to write at.
    """

    def __init__(self, logger_name: str = "pyresilience", level: int = logging.INFO) -> None:
        self._logger = logging.getLogger(logger_name)
        self._level = level

    def __call__(self, event: ResilienceEvent) -> None:
        """Write *event*."""
        if not self._logger.isEnabledFor(self._level):
            return
        line = {"event": event.event_type.value, "function": event.function_name}
        for field in fields(event):
            value = getattr(event, field.name)
            if field.name in ("event_type", "function_name") or value is None or value == "":
                continue
            if isinstance(value, BaseException):
                line["error_type"] = type(value).__qualname__
                value = _text(value, str)
            line[field.name] = _plain(value)
        self._logger.log(self._level, "%s", json.dumps(line, allow_nan=False))


def _plain(value: Any) -> Any:
    """*value* as JSON knows it."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {_text(name, str): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return _text(value, repr)


def _text(value: Any, say: Any) -> str:
    try:
        return str(say(value))
    except Exception:  # noqa: BLE001 - its own __str__ or __repr__ raises
        return f"<{type(value).__qualname__}>"
