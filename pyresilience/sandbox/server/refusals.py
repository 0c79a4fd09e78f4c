"""What requests are refused with, and how an error is said."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ...http.messages import Answer, Refused, json_answer, timestamp
from .requests import Methods, Request

RETRY_AFTER = 1
"""Seconds after which a client that found no place may ask again."""


def error_answer(refused: Refused, request: Request) -> Answer:
    """An error as JSON: `error` for people, `code` for programs, and what, when and where it was."""
    content = {
        "error": refused.message,
        "code": refused.code,
        "request_id": request.id,
        "timestamp": timestamp(time.time()),
        "path": request.prefix + request.path,
        "details": refused.details,
    }
    return json_answer(content, refused.status, refused.headers)


def invalid(message: str, field: str | None = None, **details: object) -> Refused:
    """400: a request that is understood, and makes no sense."""
    named = {} if field is None else {"field": field}
    return Refused(400, "INVALID_REQUEST", message, details={**named, **details})


def unauthorized(message: str) -> Refused:
    """401: the token is missing, wrong or too old."""
    return Refused(401, "UNAUTHORIZED", message, [("WWW-Authenticate", 'Bearer realm="pyresilience"')])


def not_found(message: str, **details: object) -> Refused:
    """404: there is no such path, sandbox or template."""
    return Refused(404, "NOT_FOUND", message, details=details)


def method_not_allowed(methods: Methods) -> Refused:
    """405: the path is there, and does not take this method."""
    allowed = _allowed(methods)
    message = f"this path does not take this method: use {' or '.join(methods)}"
    return Refused(405, "METHOD_NOT_ALLOWED", message, [("Allow", ", ".join(allowed))], {"allowed": allowed})


def body_too_large(limit: int) -> Refused:
    """413: the body has more bytes than *limit*; the rest of it is not read, so the connection ends."""
    message = f"the body may have at most {limit} bytes"
    return Refused(413, "BODY_TOO_LARGE", message, [("Connection", "close")], {"limit_bytes": limit})


def too_slow(seconds: float) -> Refused:
    """408: the body did not arrive in time."""
    message = f"the body did not arrive within {seconds:g} s"
    return Refused(408, "REQUEST_TIMEOUT", message, [("Connection", "close")], {"limit_seconds": seconds})


def too_many(message: str, **details: object) -> Refused:
    """429: no place is free; in a moment one may be."""
    headers = [("Retry-After", str(RETRY_AFTER))]
    return Refused(429, "TOO_MANY_REQUESTS", message, headers, {"retry_after_seconds": RETRY_AFTER, **details})


def timed_out(message: str, details: Mapping[str, Any]) -> Refused:
    """504: the time of the code was up."""
    return Refused(504, "EXECUTION_TIMEOUT", message, details=details)


def unavailable(code: str, message: str) -> Refused:
    """503: the server stops, or the system gives it nothing to run code with."""
    return Refused(503, code, message, [("Retry-After", str(RETRY_AFTER))])


def _allowed(methods: Iterable[str]) -> list[str]:
    names = list(methods)
    return [*names, "HEAD"] if "GET" in names else names
