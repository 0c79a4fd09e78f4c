"""What a sandbox is made with, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._settings import seconds
from .._typing import Duration
from ..cache.config import CacheConfig
from ..events import ResilienceListener
from .environment import checked
from .job import Limits

if TYPE_CHECKING:
    from .executors.base import Executor

TEMPLATES = ("code-interpreter", "base", "python")
"""The kinds of sandboxes. All are alike here; each keeps its results apart."""

CACHE = CacheConfig(max_size=1000, ttl=300.0)
QUEUE = 24 * 3600.0
"""Seconds that a run waits for its turn, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What both kinds of sandboxes are made with."""

    template: str
    env: dict[str, str] = field(repr=False)
    cache: CacheConfig
    timeout: float
    executor: Executor | None
    limits: Limits
    max_concurrent: int
    max_wait: float
    listeners: Sequence[ResilienceListener]


def settings(
    template: str,
    env: Mapping[str, str] | None,
    cache: CacheConfig,
    timeout: Duration,
    executor: Executor | None,
    limits: Limits | None,
    max_concurrent: int | None,
    max_wait: Duration,
    listeners: Sequence[ResilienceListener],
) -> Settings:
    """The settings, checked.

    Raises:
        TypeError: One is of the wrong type.
        ValueError: One is out of its range.
    """
    if template not in TEMPLATES:
        raise ValueError(f"template must be one of {', '.join(TEMPLATES)}, got {template!r}")
    if not isinstance(cache, CacheConfig):
        raise TypeError(f"cache must be a CacheConfig, got {cache!r}")
    if callable(cache.ttl):
        raise TypeError(f"cache must have a ttl that is a duration, as its statistics tell it, got {cache.ttl!r}")
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"limits must be Limits, got {limits!r}")
    for name in ("languages", "start", "close"):
        if executor is not None and not callable(getattr(executor, name, None)):
            raise TypeError(f"executor must offer languages, start and close, got {executor!r}")
    if max_concurrent is None:
        max_concurrent = 2 * (os.cpu_count() or 1)
    if isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int) or max_concurrent < 1:
        raise ValueError(f"max_concurrent must be a whole number >= 1, got {max_concurrent!r}")
    return Settings(
        template=template,
        env=checked(env),
        cache=cache,
        timeout=checked_timeout(timeout),
        executor=executor,
        limits=limits or Limits(),
        max_concurrent=max_concurrent,
        max_wait=_duration("max_wait", max_wait),
        listeners=listeners,
    )


def checked_timeout(value: Duration) -> float:
    """*value* in seconds.

    Raises:
        TypeError: It is no duration.
        ValueError: It is not finite, or not above 0.
    """
    limit = _duration("timeout", value)
    if not limit > 0:
        raise ValueError(f"timeout must be > 0 seconds, got {value!r}")
    return limit


def _duration(name: str, value: Duration) -> float:
    try:
        length = seconds(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} {error}") from None
    if not 0 <= length < float("inf"):
        raise ValueError(f"{name} must be finite and >= 0 seconds, got {value!r}")
    return length
