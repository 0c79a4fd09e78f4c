"""What is asked and what is answered, free of any protocol between servers and apps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

MAX_FIELDS = 32
"""Parameters that a query string may have."""

NO_STORE = ("Cache-Control", "no-store")
NOSNIFF = ("X-Content-Type-Options", "nosniff")


class Refused(Exception):  # noqa: N818 - it is an answer, and no fault of ours
    """A request gets an error for an answer.

    Args:
        status: The HTTP status.
        code: The error's name for programs, in capitals.
        message: The error for people: what is wrong and what to do.
        headers: Further headers of the answer.
        details: Further fields of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Sequence[tuple[str, str]] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = tuple(headers)
        self.details = dict(details or {})


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without its body.

    Args:
        method: In capitals.
        path: Decoded, and relative to the mount point: `/metrics`; empty: the mount point itself, without a slash.
        query: The query string as it came, without the question mark.
        headers: By lower-case name.
        prefix: Where the app is mounted, decoded: `/ops`; empty: at the root.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""

    def parameter(self, name: str) -> str | None:
        """The value of a query parameter; None: it is not there.

        Raises:
            Refused: It is there twice, or the query string has too many parameters.
        """
        try:
            values = parse_qs(self.query, keep_blank_values=True, max_num_fields=MAX_FIELDS).get(name, [])
        except ValueError:
            raise Refused(400, "INVALID_REQUEST", f"a query string has at most {MAX_FIELDS} parameters") from None
        if len(values) > 1:
            raise Refused(
                400, "INVALID_REQUEST", f"the parameter {name!r} must be given once, got it {len(values)} times"
            )
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Args:
        status: The HTTP status.
        headers: Names and values, the length of the body left out.
        body: Empty where there is none.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def reason(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def head(self) -> list[tuple[str, str]]:
        """All headers, with the length that the body has in the answer to a GET."""
        if self.status in (204, 304):  # RFC 9110, 8.6: no length where no body can be
            return list(self.headers)
        return [*self.headers, ("Content-Length", str(len(self.body)))]


def json_answer(content: Mapping[str, Any], status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """*content* as JSON, not to be stored by anyone.

    Text is escaped to ASCII, so that no name can break out, whatever reads it.
    """
    body = json.dumps(content, allow_nan=False).encode() + b"\n"
    return Answer(status, (("Content-Type", "application/json"), NO_STORE, NOSNIFF, *headers), body)


def error_answer(refused: Refused, path: str, timestamp: str) -> Answer:
    """An error as JSON: `error` for people, `code` for programs, and where and when it was."""
    content = {"error": refused.message, "code": refused.code, "path": path, "timestamp": timestamp}
    return json_answer({**content, **refused.details}, refused.status, refused.headers)


def timestamp(epoch: float) -> str:
    """A moment in UTC as text, to the second: `2025-01-27T19:43:55Z`."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
