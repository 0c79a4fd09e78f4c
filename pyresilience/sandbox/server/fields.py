"""The fields of a JSON body, each checked with a message that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from ...http.messages import Refused
from ..environment import checked
from .refusals import invalid

MAX_SECONDS = 24 * 3600.0
"""The longest time-out that a request may ask for."""
MAX_ENV = 512 * 1024
"""Bytes of all names and values of an environment."""


def json_object(body: bytes) -> dict[str, Any]:
    """The object that *body* is.

    Raises:
        Refused: 400 INVALID_JSON, it is no JSON, or INVALID_REQUEST, it is no object.
    """
    try:
        found = json.loads(body.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise _no_json(f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        where = "it is empty" if not body else f"{error.msg} in line {error.lineno}, column {error.colno}"
        raise _no_json(f"the body is not JSON: {where}") from None
    except RecursionError:
        raise _no_json("the body is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise _no_json(f"the body is not JSON that can be read: {error}") from None
    if not isinstance(found, dict):
        raise invalid(f"the body must be a JSON object, got {_kind(found)}")
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _no_json(message: str) -> Refused:
    return Refused(400, "INVALID_JSON", message)


def text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """The text in the field *name*; without one, the *default*, if there is one.

    Raises:
        Refused: 400, it is missing, no text, or holds half of a character.
    """
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if name not in fields:
        raise invalid(f"{name} is missing: it must be text", name)
    if not isinstance(value, str):
        raise invalid(f"{name} must be text, got {_kind(value)}", name)
    _whole(value, name)
    return value


def number(fields: Mapping[str, Any], name: str, most: float = MAX_SECONDS) -> float | None:
    """The number in the field *name*; None: there is none.

    Raises:
        Refused: 400, it is no number, or not above 0 and at most *most*.
    """
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise invalid(f"{name} must be a number of seconds, got {_kind(value)}", name)
    if not (0 < value <= most and isfinite(value)):
        got = f"{value:g}" if isinstance(value, float) or abs(value) < 10**15 else "a larger one"
        raise invalid(f"{name} must be above 0 and at most {most:g} seconds, got {got}", name)
    return value


def flag(fields: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """The truth value in the field *name*.

    Raises:
        Refused: 400, it is none.
    """
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(f"{name} must be true or false, got {_kind(value)}", name)
    return value


def variables(fields: Mapping[str, Any], name: str, *, required: bool = False) -> dict[str, str]:
    """The environment variables in the field *name*; none if it is not there and need not be.

    Raises:
        Refused: 400, they are no object of texts, no process can be given them, or they are too long.
    """
    value = fields.get(name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        got = "nothing" if name not in fields else _kind(value)
        raise invalid(f"{name} must be an object of names and values, got {got}", name)
    for each in value.values():
        if not isinstance(each, str):
            raise invalid(f"{name}: a value must be text, got {_kind(each)}", name)
    try:
        found = checked(value, name)
    except ValueError as error:
        raise invalid(str(error), name) from None
    for each, content in found.items():
        _whole(each + content, name)
    check_size(found, name)
    return found


def check_size(found: Mapping[str, str], name: str) -> None:
    """Refuse an environment that a process could not be given.

    Raises:
        Refused: 400.
    """
    size = sum(len(each.encode()) + len(content.encode()) + 2 for each, content in found.items())
    if size > MAX_ENV:
        raise invalid(f"{name} may have at most {MAX_ENV} bytes in all, got {size}", name)


def _whole(value: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise invalid(f"{name} holds half of a surrogate pair at character {error.start}", name) from None


def _kind(value: object) -> str:
    """What JSON calls *value*."""
    kinds = {
        str: "text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        list: "an array",
        dict: "an object",
    }
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
