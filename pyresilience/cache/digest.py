"""Large arguments become a digest, so that a key does not keep them in memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any

SIZE = 32
"""Bytes of a digest. BLAKE2 is collision-resistant: nobody can craft two arguments that share one."""

_TAGS = frozenset({bool, float, complex, bytes, bytearray, list, tuple, set, frozenset, dict, str, deque, OrderedDict})
"""The types whose names say all there is to say."""


class _OpaqueError(Exception):
    """Something inside has no bytes of its own."""


def digest(frozen: Hashable) -> Hashable | None:
    """A short stand-in for a large *frozen* value; None: it holds an object whose bytes we do not know."""
    from hashlib import blake2b

    hasher = blake2b(digest_size=SIZE)
    try:
        _feed(hasher.update, frozen)
    except _OpaqueError:
        return None
    return digest, hasher.digest()


def _feed(update: Callable[[bytes], Any], part: Any) -> None:
    """Write *part* so that no two different ones are written alike: kind, length, content."""
    kind = type(part)
    if kind is str:
        _write(update, b"s", part.encode("utf-8", "surrogatepass"))
    elif kind is int:
        _write(update, b"i", format(part, "x").encode())
    elif kind is bytes:
        _write(update, b"b", part)
    elif kind is float or kind is complex:
        _write(update, b"f", repr(part).encode())
    elif kind is bool or part is None:
        _write(update, b"c", str(part).encode())
    elif kind is tuple:
        _write(update, b"t", str(len(part)).encode())
        for each in part:
            _feed(update, each)
    elif kind is frozenset:
        _write(update, b"u", b"".join(sorted(_unordered(each) for each in part)))
    elif part is digest or part in _TAGS:
        _write(update, b"k", part.__name__.encode())
    else:
        raise _OpaqueError


def _unordered(part: Any) -> bytes:
    stand_in = digest(part)
    if stand_in is None:
        raise _OpaqueError
    return stand_in[1]  # type: ignore[index,no-any-return]


def _write(update: Callable[[bytes], Any], kind: bytes, content: bytes) -> None:
    update(b"%s%d:" % (kind, len(content)))
    update(content)
