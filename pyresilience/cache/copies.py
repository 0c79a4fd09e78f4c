"""Results that callers may change: each of them gets a copy of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal


def copier(setting: Literal["none", "shallow", "deep"] | Callable[[Any], Any]) -> Callable[[Any], Any] | None:
    """What makes a copy as `CacheConfig(copy=...)` says; None: callers share the result itself."""
    if callable(setting):
        return setting
    if setting == "none":
        return None
    import copy

    return copy.copy if setting == "shallow" else copy.deepcopy
