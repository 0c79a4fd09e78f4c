"""Type variables and aliases that more than one room uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

if TYPE_CHECKING:
    from datetime import timedelta

P = ParamSpec("P")
R = TypeVar("R")

Duration: TypeAlias = "float | timedelta | str"
ErrorClasses: TypeAlias = type[BaseException] | Sequence[type[BaseException]]
ErrorPredicate: TypeAlias = Callable[[Exception], bool]
