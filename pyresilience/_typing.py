"""Type variables and aliases that more than one room uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Duration: TypeAlias = float | timedelta | str
ErrorClasses: TypeAlias = type[BaseException] | Sequence[type[BaseException]]
ErrorPredicate: TypeAlias = Callable[[Exception], bool]
AnyFunction: TypeAlias = Callable[..., Any]
