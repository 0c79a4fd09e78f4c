"""A result or an error, held as data until the one it belongs to takes it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NoReturn, TypeAlias


class Value:
    """The call returned."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def unwrap(self) -> Any:
        """Return it."""
        return self.value


class Error:
    """The call raised; *traceback* is where, however often it is raised again."""

    __slots__ = ("error", "traceback")

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.traceback: TracebackType | None = error.__traceback__

    def unwrap(self) -> NoReturn:
        """Raise it, from the same traceback each time, leaving no cycle through this frame."""
        error, traceback = self.error, self.traceback
        try:
            raise error.with_traceback(traceback)
        finally:
            del self, error, traceback


Outcome: TypeAlias = Value | Error


class Crowded(BaseException):
    """No thread for a bounded call: what the blocking hand tells the timeout stage."""


class Expired(BaseException):
    """The time of a bounded call is up: what a hand tells the timeout stage. No stage judges it, no caller sees it."""
