"""The environment variables of a sandbox."""

from __future__ import annotations

import os
from collections.abc import Mapping

LONGEST = 128 * 1024 - 1
"""Bytes of one variable, its name included, that Linux gives to a process."""


def checked(variables: Mapping[str, str] | None, what: str = "env") -> dict[str, str]:
    """A copy of *variables* that a process can be given.

    Raises:
        TypeError: It is no mapping from text to text.
        ValueError: A name is empty or holds `=` or NUL, or a value holds NUL.
    """
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise TypeError(f"{what} must be a mapping of names to values, got {type(variables).__name__}")
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"{what} must map text to text, got {name!r}: {type(value).__name__}")
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{what}: a name must not be empty nor hold '=' or NUL, got {name!r}")
        if "\0" in value or not _is_encodable(name + value):
            raise ValueError(f"{what}: the value of {name!r} must not hold NUL nor what UTF-8 cannot write")
        if len(os.fsencode(f"{name}={value}")) > LONGEST:
            raise ValueError(f"{what}: {name!r} and its value must take at most {LONGEST} bytes, as systems have it")
    return dict(variables)


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
