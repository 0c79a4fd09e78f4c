"""Type variables and aliases that more than one room uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

if TYPE_CHECKING:
    from datetime import timedelta

    from typing_extensions import TypeVar as DefaultingTypeVar

    from .cache.config import CacheConfig
    from .cache.result_cache import ResultCache

    _Front: TypeAlias = CacheConfig | ResultCache | None
    Front = DefaultingTypeVar("Front", bound=_Front, default=_Front)
    """What stands in front of a pipeline: it tells a type checker whether `f.cache` is there."""
    Front_co = DefaultingTypeVar("Front_co", bound=_Front, default=_Front, covariant=True)
else:
    Front, Front_co = TypeVar("Front"), TypeVar("Front_co", covariant=True)

P = ParamSpec("P")
R = TypeVar("R")

Duration: TypeAlias = "float | timedelta | str"
ErrorClasses: TypeAlias = type[BaseException] | Sequence[type[BaseException]]
ErrorPredicate: TypeAlias = Callable[[Exception], bool]
