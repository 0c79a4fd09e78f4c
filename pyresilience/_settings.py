"""How a config checks itself at birth, with messages that say config, field, rule and value."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, TypeAlias, cast

from ._functions import is_async
from ._typing import Duration, P

if TYPE_CHECKING:
    from datetime import timedelta

_Check: TypeAlias = Callable[Concatenate[object, str, P], None]

_HOME = f"{__package__}."

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZES = {"": 1.0, "b": 1.0}
_SIZES |= {f"{letter}b": 1000.0**power for power, letter in enumerate("kmgt", 1)}
_SIZES |= {f"{letter}ib": 1024.0**power for power, letter in enumerate("kmgt", 1)}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([A-Za-z]*)")
_TEXT = re.compile(rf"(?:{_PART.pattern})+")


def seconds(value: Duration) -> float:
    """A duration in seconds: a number, a `timedelta`, or text such as `"250ms"`, `"5m"`, `"1h30m"`.

    Raises:
        TypeError: It is none of these.
        ValueError: The text is not a duration.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(value)
    datetime: Any = sys.modules.get("datetime")
    if datetime is not None and isinstance(value, datetime.timedelta):
        return cast("timedelta", value).total_seconds()
    if not isinstance(value, str):
        raise TypeError(f"must be a number of seconds, a timedelta or text such as '5m', got {value!r}")
    text = value.replace(" ", "").lower()
    if not _TEXT.fullmatch(text):
        raise ValueError(f"must be a duration such as '250ms', '30s', '5m' or '1h30m', got {value!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def span(name: str, value: Duration) -> float:
    """The duration that is given as the parameter of that *name*, in seconds.

    Raises:
        TypeError: It is no duration.
        ValueError: It is negative, or not a number.
    """
    try:
        length = seconds(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} {error}") from None
    if not length >= 0:
        raise ValueError(f"{name} must be >= 0, got {value!r}")
    return length


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("must be a number that a float can hold, got a larger one") from None


def _refuse(config: object, field: str, rule: str, value: object, kind: type[Exception] = ValueError) -> Exception:
    return kind(f"{type(config).__name__}: {field} must be {rule}, got {value!r}")


def _is_default(config: object, field: str) -> bool:
    """Whether *field* is what it is where nobody says otherwise; who makes a config of ours another may say so wrongly."""
    kind = type(config)
    if not kind.__module__.startswith(_HOME):
        return False
    known = getattr(kind, "__dataclass_fields__", {}).get(field)
    return known is not None and getattr(config, field) is known.default


def _unless_default(check: _Check[P]) -> _Check[P]:
    """*check*, but for a field that is left alone: that is right as it stands in the code."""

    @wraps(check)
    def checked(config: object, field: str, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if not _is_default(config, field):
            check(config, field, *args, **kwargs)

    return checked


@_unless_default
def require(
    config: object,
    field: str,
    *,
    whole: bool = False,
    duration: bool = False,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    infinite: bool = False,
) -> None:
    """Check the number in *field* of the frozen *config*; a duration is stored back as seconds.

    Raises:
        TypeError: It is not a number (or duration).
        ValueError: It is not a finite one within the bounds.
    """
    value: Any = getattr(config, field)
    if not duration and (isinstance(value, bool) or not isinstance(value, int if whole else (int, float))):
        raise _refuse(config, field, "a whole number" if whole else "a number", value, TypeError)
    try:
        value = seconds(value) if duration else value if whole and value <= sys.maxsize else _number(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{type(config).__name__}: {field} {error}") from None
    if whole and value > sys.maxsize:
        raise _refuse(config, field, f"<= {sys.maxsize}", value)
    if duration:
        object.__setattr__(config, field, value)
    if math.isnan(value) or (math.isinf(value) and not infinite):
        raise _refuse(config, field, "a number" if math.isnan(value) else "finite", value)
    if above is not None and not value > above:
        raise _refuse(config, field, f"> {above:g}", value)
    if at_least is not None and not value >= at_least:
        raise _refuse(config, field, f">= {at_least:g}", value)
    if at_most is not None and not value <= at_most:
        raise _refuse(config, field, f"<= {at_most:g}", value)
    if below is not None and not value < below:
        raise _refuse(config, field, f"< {below:g}", value)


def require_size(config: object, field: str) -> None:
    """Check that *field* is a number above 0 or a size such as `"64MB"`, and store it back as a number.

    Raises:
        TypeError: It is neither.
        ValueError: It is not above 0, not finite, or text that is no size.
    """
    value = getattr(config, field)
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None or found[2].lower() not in _SIZES:
            raise _refuse(config, field, "a number or a size such as '64MB' or '1.5GiB'", value)
        object.__setattr__(config, field, float(found[1]) * _SIZES[found[2].lower()])
    require(config, field, above=0)


@_unless_default
def require_each(config: object, field: str, fits: Callable[[Any], bool], what: str) -> None:
    """Check that *field* is a sequence of which each item *fits*, and store it back as a tuple.

    Raises:
        TypeError: It is not, or something in it is not *what* it should be.
    """
    value = getattr(config, field)
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not all(map(fits, value)):
        raise _refuse(config, field, f"a sequence of {what}", value, TypeError)
    object.__setattr__(config, field, tuple(value))


@_unless_default
def require_errors(config: object, field: str, *, predicate: bool = False) -> None:
    """Check that *field* names exception classes, and store them back as a tuple.

    One class and any sequence of classes will do; with *predicate* also a function of the error.

    Raises:
        TypeError: It is something else.
    """
    value = getattr(config, field)
    if isinstance(value, type) and issubclass(value, BaseException):
        value = (value,)
    elif predicate and callable(value) and not isinstance(value, type):
        return
    elif not isinstance(value, (Sequence, set, frozenset)) or isinstance(value, str):
        value = None
    if value is None or not all(isinstance(each, type) and issubclass(each, BaseException) for each in value):
        rule = "exception classes" + (" or a function of the error" if predicate else "")
        raise _refuse(config, field, rule, getattr(config, field), TypeError)
    object.__setattr__(config, field, tuple(value))


@_unless_default
def require_callable(config: object, field: str) -> None:
    """Check that *field* is None or something to call that answers at once.

    Raises:
        TypeError: It is neither, or a coroutine function.
    """
    value = getattr(config, field)
    if value is not None and not callable(value):
        raise _refuse(config, field, "a function or None", value, TypeError)
    if value is not None and is_async(value):
        raise _refuse(config, field, "a plain function, as nobody awaits it", value, TypeError)


@_unless_default
def require_one_of(config: object, field: str, choices: Sequence[object]) -> None:
    """Check that *field* is one of *choices*, of the same type.

    Raises:
        ValueError: It is not.
    """
    value = getattr(config, field)
    if not any(value is choice or (type(value) is type(choice) and value == choice) for choice in choices):
        raise _refuse(config, field, "one of " + ", ".join(map(repr, choices)), value)
