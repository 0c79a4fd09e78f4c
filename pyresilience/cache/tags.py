"""What a result is called, so that all results of one name can be invalidated at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, TypeAlias

Tagger: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any], Any], tuple[str, ...]]
"""The names of a call's result."""


def tagger(tags: Any, function: Callable[..., Any], name: str) -> Tagger:
    """What names the results of *function*.

    Args:
        tags: Names in which `{parameter}` stands for an argument; or a function of the arguments and `result=`.
        function: Whose results.
        name: What it is called in messages.

    Raises:
        ValueError: A name has a placeholder that is no parameter of *function*.
    """
    if callable(tags):
        return lambda args, kwargs, result: names(tags(*args, **kwargs, result=result))
    fields = {tag: _fields(tag) for tag in tags}
    if not any(fields.values()):
        plain = tuple(tag.format() for tag in tags)
        return lambda args, kwargs, result: plain
    try:
        parameters = signature(function)
    except (TypeError, ValueError):
        raise ValueError(f"CacheConfig: tags must name no parameters of {name}, which does not tell them") from None
    for tag, used in fields.items():
        for field in used:
            if field not in parameters.parameters:
                known = ", ".join(parameters.parameters)
                raise ValueError(f"CacheConfig: tags must name parameters of {name}({known}), got {tag!r}")

    def fill_in(args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> tuple[str, ...]:
        bound = parameters.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple([tag.format_map(bound.arguments) for tag in fields])

    return fill_in


def names(tags: Any) -> tuple[str, ...]:
    """*tags*, if they are names.

    Raises:
        TypeError: They are not.
    """
    if isinstance(tags, str) or not isinstance(tags, (Sequence, set, frozenset)):
        raise TypeError(f"tags must be a sequence of names, got {tags!r}")
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"tags must be a sequence of names, got {tag!r} among them")
    return tuple(tags)


def _fields(tag: str) -> set[str]:
    """The parameters that *tag* names: of `{user.id}` and `{users[0]}` the first word, and those in formats of others."""
    from string import Formatter

    found: set[str] = set()
    try:
        for _, field, form, _ in Formatter().parse(tag):
            if field is not None:
                found |= {field.replace("[", ".").partition(".")[0]} | _fields(form or "")
    except ValueError as error:
        raise ValueError(f"CacheConfig: tags must have their braces in pairs, got {tag!r} ({error})") from None
    return found
