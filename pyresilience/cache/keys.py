"""From a call to a key: the bound arguments, and what else the result depends on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import Context, ContextVar
from functools import partial
from inspect import CO_VARARGS, CO_VARKEYWORDS, Parameter, Signature, isfunction, signature
from types import CodeType
from typing import Any, TypeAlias

from .._functions import is_async, name_of
from ..errors import CacheKeyError
from .config import CacheConfig, Variable
from .freeze import SHORT, freeze, stand_in

__all__ = ["SHORT", "UNKEYED", "KeyMaker", "KeyOf", "Scope", "freeze", "scope_of", "stand_in"]

KeyOf: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Hashable]
"""Makes the key of a call."""

UNKEYED: Hashable = object()
"""The key of a call that has none: never kept, never shared."""


class _Unset:
    """Stands in a key for the value of a context variable that has none."""


class KeyMaker:
    """Makes the keys of one function. Two calls have one key if they bind the same arguments.

    Arguments that the config ignores do not count; what it varies by does, and so does its version. A function of
    exactly one parameter, and nothing of all this, has its plain argument itself as the key; see `bare`.

    Args:
        function: Whose calls.
        config: How the cache wants it: a key function, what counts beside the arguments, and what to do with what cannot
            be part of a key.
        scope: Stands first in every key; None: nothing does.

    Raises:
        ValueError: The function has no parameter of a name that the config ignores.
        TypeError: A coroutine function is among what the config varies by.
    """

    __slots__ = ("_bind", "_config", "_function", "_lone", "_names", "_scope", "bare")

    def __init__(self, function: Callable[..., Any], config: CacheConfig, scope: Hashable | None) -> None:
        self._function = function
        self._config = config
        self._scope = scope
        whole = not (config.ignore or config.vary or config.version)
        simple = whole and config.key is None and _takes_one(function)
        self._names: list[str] = []
        """What the parts of a key are called; empty before the first."""
        self._lone = simple or (whole and config.key is not None)
        self.bare = simple and scope is None
        """Whether a call with one exact int or short str as its only argument has that as its key."""
        self._bind: Callable[..., tuple[Any, ...]] = self._bind_first
        _check(function, config)

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key of the call; UNKEYED: it goes past the cache.

        Raises:
            CacheKeyError: An argument, or something else that counts, cannot be part of a key.
        """
        try:
            values = self._bind(*args, **kwargs)
        except TypeError:
            if self._config.key is not None or (self._config.vary and self._fit(args, kwargs)):
                raise
            return UNKEYED  # the arguments do not fit the function: let it say so itself
        key: Hashable = values
        for value in values:
            kind = type(value)
            if kind is not int and value is not None and (kind is not str or len(value) > SHORT):
                key = self._frozen(values)
                if key is UNKEYED:
                    return key
                break
        if self._lone:
            key = key[0]  # type: ignore[index]
        return key if self._scope is None else (self._scope, key)

    def difference(self, one: Hashable, other: Hashable) -> str | None:
        """What the only part is called in which two keys differ.

        The name of a parameter, `"key"` for what `key=` makes, the name of a context variable, `"vary[0]"` for another
        thing to vary by, or `"version"`. None: they do not differ, or in more than one part, or have only one; or they
        are not both keys of this function.
        """
        mine, others = self._parts(one), self._parts(other)
        if not len(mine) == len(others) == len(self._names) > 1:
            return None
        try:
            pairs = zip(self._names, mine, others, strict=True)
            found = [name for name, left, right in pairs if hash(left) != hash(right) or left != right]
        except Exception:  # noqa: BLE001 - whatever an argument's own __hash__ or __eq__ raises
            return None
        return found[0] if len(found) == 1 else None

    def _parts(self, key: Hashable) -> tuple[Hashable, ...]:
        """The parts of *key*; none: it is the only one, or no key of this function."""
        if self._scope is not None:
            key = key[1] if type(key) is tuple and len(key) > 1 and key[0] is self._scope else None
        return key if type(key) is tuple and not self._lone else ()

    def _frozen(self, values: tuple[Any, ...]) -> Hashable:
        """What stands for the values."""
        frozen: list[Hashable] = []
        try:
            for value in values:
                frozen.append(stand_in(value))  # noqa: PERF401 - how far it got names the argument
        except CacheKeyError as error:
            if self._config.on_unhashable == "bypass":
                return UNKEYED
            raise CacheKeyError(self._blame(len(frozen), error)) from None
        return tuple(frozen)

    def _blame(self, place: int, error: CacheKeyError) -> str:
        """Which part cannot be part of a key, why, and what to do about it."""
        name, vary, remedy = self._names[place], self._config.vary, "let it be a plain value"
        place -= len(self._names) - len(vary) - bool(self._config.version)
        if place >= 0:
            what = f"context variable {name!r}" if isinstance(vary[place], ContextVar) else f"what {name} returned"
        elif self._config.key is not None:
            what = "what key= returned"
        else:
            what, remedy = f"argument {name!r}", "give CacheConfig(key=...) or ignore=(...)"
        return f'{what} cannot be part of a cache key: {error}; {remedy}, or on_unhashable="bypass" to call through'

    def _fit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the function takes these arguments, so that a TypeError was about something else."""
        try:
            Signature(_parameters(self._function)).bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    def _bind_first(self, /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Make what binds the arguments, at the first call that needs it, and bind them."""
        config = self._config
        if config.key is not None:
            parameters, names = _UNKNOWN, ["key"]
        else:
            parameters = _parameters(self._function)
            names = [each.name for each in parameters if each.name not in config.ignore]
        names += [
            each.name if isinstance(each, ContextVar) else f"vary[{place}]" for place, each in enumerate(config.vary)
        ]
        self._names = [*names, "version"] if config.version else names
        self._bind = _binder(parameters, config)
        return self._bind(*args, **kwargs)


def _check(function: Callable[..., Any], config: CacheConfig) -> None:
    """Refuse settings that do not fit the function."""
    for place, each in enumerate(config.vary):
        if not isinstance(each, ContextVar) and is_async(each):
            raise TypeError(f"CacheConfig: vary[{place}] must be a plain function, got the async {name_of(each)}")
    if not config.ignore:
        return
    parameters = _parameters(function)
    if parameters is _UNKNOWN:
        raise ValueError(
            f"CacheConfig: ignore needs names, and {name_of(function)} does not tell those of its parameters"
        )
    names = [each.name for each in parameters]
    for name in config.ignore:
        if name not in names and all(each.kind is not Parameter.VAR_KEYWORD for each in parameters):
            owner = f"{name_of(function)}({', '.join(names)})"
            raise ValueError(f"CacheConfig: ignore must name parameters of {owner}, got {name!r}")


def _reader(variable: Variable) -> Callable[[], Any]:
    """What reads the value that a key varies by."""
    if not isinstance(variable, ContextVar):
        return variable
    try:
        Context().run(variable.get)
    except LookupError:  # it has no default of its own
        return partial(variable.get, _Unset)
    return variable.get


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether it is a plain function of exactly one parameter, which may be given by position."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return False
    rest = code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    return isfunction(function) and code.co_argcount == 1 and code.co_kwonlyargcount == 0 and not rest


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    try:
        return list(signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins have none
        return _UNKNOWN


_UNKNOWN = [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]
"""The parameters of a function that does not tell them."""


def _binder(parameters: list[Parameter], config: CacheConfig) -> Callable[..., tuple[Any, ...]]:
    """A function with these parameters that returns what counts: the interpreter does the binding."""
    mark = "_" * (1 + max([len(each.name) for each in parameters], default=0))  # no parameter has so long a name
    known = {f"{mark}{place}": each.default for place, each in enumerate(parameters) if each.default is not each.empty}
    plain = [
        each.replace(annotation=each.empty, default=_Name(name) if (name := f"{mark}{place}") in known else each.empty)
        for place, each in enumerate(parameters)
    ]
    text = str(Signature(plain, __validate_parameters__=False))[1:-1]
    parts = "".join(f"{each}, " for each in _parts(parameters, config, mark, known))
    bind: Callable[..., tuple[Any, ...]] = eval(f"lambda {text}: ({parts})", known)  # noqa: S307 - names only
    return bind


def _parts(parameters: list[Parameter], config: CacheConfig, mark: str, known: dict[str, Any]) -> list[str]:
    """What counts, as expressions; the names in them that are no parameter's begin with *mark* and become *known*."""

    def name(part: str, value: Any) -> str:
        known[mark + part] = value
        return mark + part

    strays = {*config.ignore} - {each.name for each in parameters}
    if config.key is not None:
        parts = [name("key", config.key) + "(*args, **kwargs)"]
    else:
        parts = [
            f"{name('rest', partial(_without, strays))}({each.name})"
            if strays and each.kind is Parameter.VAR_KEYWORD
            else each.name
            for each in parameters
            if each.name not in config.ignore
        ]
    parts += [name(f"vary{place}", _reader(each)) + "()" for place, each in enumerate(config.vary)]
    return [*parts, name("version", config.version)] if config.version else parts


def _without(strays: set[str], keywords: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in keywords.items() if name not in strays}


class _Name:
    """Prints as a bare name where a signature shows a default."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


class Scope:
    """What keeps the entries of one function apart from those of others in the same cache."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<scope of {self._name}>"


def scope_of(key: Hashable) -> Scope | None:
    """The function that an entry of a shared cache belongs to; None: none of those that share it."""
    first = key[0] if isinstance(key, tuple) and key else None
    return first if type(first) is Scope else None
