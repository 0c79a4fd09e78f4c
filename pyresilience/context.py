"""What travels with a call without being an argument: your context for its events, and its deadline."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import Clock

resilience_context: ContextVar[dict[str, Any] | None] = ContextVar("resilience_context", default=None)
"""Facts of your own (request id, tenant) that every event of the calls made under it carries as `event.context`."""

deadline_around: ContextVar[tuple[float, Clock] | None] = ContextVar("pyresilience_deadline", default=None)
"""The nearest deadline of the bounded calls around us, and the clock it is on."""


def remaining() -> float | None:
    """Seconds until the innermost bounded call around us is over, never below 0; None: nothing bounds us.

    Hand it to what you call: `client.get(url, timeout=remaining())`.
    """
    bound = deadline_around.get()
    if bound is None:
        return None
    deadline, clock = bound
    return max(0.0, deadline - clock.monotonic())
