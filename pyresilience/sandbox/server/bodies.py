"""The body of a request: bounded in bytes and in time while it is read."""

from __future__ import annotations

from collections.abc import Mapping

from ... import _async
from ..._call import Call
from ..._outcome import Expired
from ..._strays import Strays
from ...clock import SystemClock
from ...http.asgi import Receive
from .refusals import body_too_large, invalid, too_slow

MAX_BODY = 2 * 1024 * 1024
"""Bytes that the body of a request may have."""
BODY_SECONDS = 30.0
"""Seconds within which it must have arrived."""

CLOCK = SystemClock()
NOBODY = Strays(0)
"""Reading that is given up is cancelled, and goes on nowhere."""


class Gone(Exception):  # noqa: N818 - no fault of ours: nobody hears an answer
    """The client went away."""


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
    """The whole body, however many pieces it comes in.

    Args:
        receive: The ASGI channel.
        headers: Those of the request: a length that is too large is refused before anything is read.
        limit: Bytes that it may have.
        seconds: Within which it must have arrived.

    Raises:
        Refused: 413, it is too large, 408, it is too slow, or 400, its length is none.
        Gone: The client went away before it was complete.
    """
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()):
        raise invalid(f"Content-Length must be a number of bytes, got {declared[:40]!r}", "Content-Length")
    if len(declared) > 18 or int(declared) > limit:
        raise body_too_large(limit)

    async def pieces(_: Call) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            body += message.get("body", b"")
            if len(body) > limit:
                raise body_too_large(limit)
            if not message.get("more_body", False):
                return bytes(body)

    try:
        whole: bytes = await _async.within(CLOCK, seconds, pieces, Call(), NOBODY)
    except Expired:
        raise too_slow(seconds) from None
    return whole
