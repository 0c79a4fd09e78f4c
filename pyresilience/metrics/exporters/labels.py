"""Names of functions, which may be anything, in forms that others can bear. Pure."""

from __future__ import annotations

from hashlib import blake2b

UNNAMED = "unnamed"
"""For a name of which nothing remains."""

_MARK = 9
"""Characters that tell long names apart."""


def well_formed(text: str) -> str:
    """*text* with `?` for each half of a surrogate pair, which no encoding has."""
    return text.encode("utf-8", "replace").decode()


def plain_ascii(text: str) -> str:
    """*text* in printable ASCII: other characters stand as Python escapes them."""
    return "".join(char if " " <= char <= "~" else char.encode("unicode_escape").decode() for char in text)


def bounded(text: str, limit: int) -> str:
    """*text* in at most *limit* characters: a longer one ends in a mark of its own, so that long ones stay apart."""
    if len(text) <= limit:
        return text
    mark = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{text[: limit - _MARK]}~{mark}"
