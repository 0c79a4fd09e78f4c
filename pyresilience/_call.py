"""One trip of one call through a pipeline."""

from __future__ import annotations

from typing import Any


class Call:
    """What every stage may see of the call in hand.

    The defaults stand on the class, and there is no `__init__`: making a call is writing the three attributes that
    are its own, as most calls never write another.
    """

    name: str
    """The function, as events and errors call it."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    attempt: int = 1
    """Which attempt this is, counted from 1."""
    reached: bool = False
    """Whether this attempt got as far as the function; if not, some stage refused it."""
    ran: bool = False
    """Whether an earlier attempt got as far as the function."""
    storable: bool = True
    """Whether the result is the function's own, good enough to be kept."""
    reservation: Any = None
    """The permit that a rate limiter is about to give it."""
    deadline: float | None = None
    """When the whole call must be over, on the pipeline's clock."""
    late: bool = False
    """Its deadline passed while it waited for another caller that computed the same."""
    admitted: float = 0.0
    """When the circuit breaker let this attempt through, where it times attempts."""
    pause: float = 0.0
    """Seconds a gate makes it wait before it goes on."""
    open_circuit: bool = False
    """The circuit opened on the last attempt: waiting before the next one is in vain."""
    last_error: BaseException | None = None
    """What the attempt before this one raised."""
    ignored: int | None = None
    """The identity of the error that retry was told to ignore, while it travels up: no stand-in for it either."""
    stood_in: bool = False
    """Whether a fallback answered."""
    failure: type[Exception] | None = None
    """The kind of error that it stands in for."""
