"""Which errors a stage minds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Classes: TypeAlias = tuple[type[BaseException], ...]
Predicate: TypeAlias = Callable[[Exception], bool]


class Handling:
    """Errors to mind: of certain classes, or for which a predicate says yes; *ignore* wins."""

    __slots__ = ("_ignore", "_on")

    def __init__(self, on: Classes | Predicate, ignore: Classes = ()) -> None:
        self._on = on
        self._ignore = ignore

    def minds(self, error: Exception) -> bool:
        """Whether *error* is one to act upon."""
        if isinstance(error, self._ignore):
            return False
        if isinstance(self._on, tuple):
            return isinstance(error, self._on)
        return bool(self._on(error))

    def ignores(self, error: Exception) -> bool:
        """Whether *error* is named as one to leave alone."""
        return isinstance(error, self._ignore)

    def names(self, error: Exception, family: type[Exception]) -> bool:
        """Whether *error* is minded by a class of *family* itself, not just by one above it."""
        return isinstance(self._on, tuple) and any(
            issubclass(each, family) and isinstance(error, each) for each in self._on
        )
