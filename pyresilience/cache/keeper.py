"""What goes onto the shelf, as which row, and in what form it is handed out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isnan
from typing import Any

from .._outcome import Outcome, Value
from .._settings import seconds
from ..errors import ResilienceError
from .config import CacheConfig
from .copies import copier
from .keeping import NO_TIME, PLAIN, REFUSED, TOO_HEAVY, USED_UP, Failure, NotKept, only_once
from .pristine import pristine
from .shelf import Row
from .terms import Entry, Terms
from .weight import weight_of


class Keeper:
    """Makes rows of results, with all that the settings of a cache ask for.

    Args:
        config: The settings.
        terms: How long a result is good for, and for what; None: simply for its TTL.
        die: A random number from 0 to less than 1, for the jitter.
        weighs: Whether somebody wants to know the weights.
    """

    def __init__(self, config: CacheConfig, terms: Terms | None, die: Callable[[], float], *, weighs: bool) -> None:
        self._terms = terms
        self._die = die
        self._ttl = config.ttl if callable(config.ttl) else seconds(config.ttl) or inf
        self._negative_ttl = seconds(config.negative_ttl)
        self._jitter = seconds(config.jitter)
        self._jitter_share = self._jitter if isinstance(config.jitter, (int, float)) and config.jitter <= 1 else None
        self._cache_if = config.cache_if
        errors: Any = config.cache_exceptions
        self._cached_errors: tuple[type[BaseException], ...] = errors
        self._own_errors = tuple([each for each in errors if issubclass(each, ResilienceError)])
        self._weigh = config.weigher or (weight_of if weighs or _is_limited(config) else None)
        self._heaviest = min(float(config.max_weight or inf), float(config.max_entry_weight or inf))
        self._copy = copier(config.copy)

    def row_of(self, call: Any, value: Any, now: float) -> Row | None:
        """The row of a flight's result; None: it is not kept, and the flight is told why.

        Raises:
            Exception: Whatever the functions among the settings raise.
        """
        row: Row | NotKept = REFUSED
        if self._cache_if is None or self._cache_if(value):
            row = self.row(value, now, took=now - call.began, tags=call.tags, mark=call.mark)
        if isinstance(row, tuple):
            return row
        call.unkept = row
        return None

    def row(
        self,
        value: Any,
        now: float,
        *,
        ttl: float | None = None,
        took: float = 0.0,
        tags: Sequence[str] = (),
        mark: int | None = None,
    ) -> Row | NotKept:
        """The row of *value*, good for *ttl* seconds, or as configured; or why it is not kept."""
        if type(value) not in PLAIN and only_once(value):
            return USED_UP
        life = self._life(value) if ttl is None else ttl or inf
        if life <= 0:
            return NO_TIME
        weight = self._weight(value)
        if weight > self._heaviest:
            return TOO_HEAVY
        kept = value if self._copy is None else self._copy(value)
        if self._terms is None:
            return kept, now + life, weight, None
        entry = Entry(now, life, took, tags, self._terms.barriers.number if mark is None else mark)
        return kept, self._terms.begin(entry), weight, entry

    def row_of_error(self, call: Any, error: Exception, now: float) -> Row | None:
        """The row of an error that is a result, too; None: it is none."""
        if self._terms is None or not self.keeps(type(error)):
            return None
        entry = Entry(now, self._negative_ttl, 0.0, call.tags, call.mark)
        kept = Failure(pristine(error))
        weight = weight_of(kept) if self._weigh is weight_of else 0
        if weight > self._heaviest:
            call.unkept = TOO_HEAVY
            return None
        return kept, self._terms.begin(entry, failed=True), weight, entry

    def keeps(self, kind: type[BaseException]) -> bool:
        """Whether an error of that *kind* is a result; what a pipeline itself raises is none, unless it is named as such."""
        return issubclass(kind, self._own_errors if issubclass(kind, ResilienceError) else self._cached_errors)

    def apart(self, value: Any) -> Outcome | None:
        """What others get of a result that is not kept; None: it cannot be copied, and they need a copy."""
        if self._copy is None:
            return Value(value)
        try:
            return Value(self._copy(value))
        except Exception:  # noqa: BLE001 - then each makes its own
            return None

    def hand_out(self, value: Any) -> Any:
        """What a caller gets of what is kept.

        Raises:
            Exception: An error is kept; a fresh copy of it.
        """
        if type(value) is Failure:
            raise pristine(value.error)
        return value if self._copy is None else self._copy(value)

    def _life(self, value: Any) -> float:
        """How long *value* is good for."""
        life: float
        if callable(self._ttl):
            told = self._ttl(value)
            try:
                life = 0.0 if told is None else seconds(told)
            except (TypeError, ValueError) as error:
                raise type(error)(f"CacheConfig: what ttl returned {error}") from None
            if isnan(life):
                raise ValueError(f"CacheConfig: what ttl returned must be a number of seconds, got {told!r}")
        else:
            life = self._ttl
        if not self._jitter or not 0 < life < inf:
            return life
        return life + self._die() * (self._jitter if self._jitter_share is None else life * self._jitter_share)

    def _weight(self, value: Any) -> float:
        """What *value* weighs."""
        if self._weigh is None:
            return 0
        weight = self._weigh(value)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < inf:
            raise ValueError(f"CacheConfig: what weigher returned must be a finite number >= 0, got {weight!r}")
        return weight


def _is_limited(config: CacheConfig) -> bool:
    return config.max_weight is not None or config.max_entry_weight is not None
