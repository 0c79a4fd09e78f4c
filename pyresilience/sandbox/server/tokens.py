"""Tokens: random, forgotten at once but for their digests, and good for a while."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

LIFE = 24 * 3600.0
"""Seconds that a token is good for."""
KEPT = 8
"""How many tokens of one sandbox are good at once; a further one takes the place of the oldest."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A token as its owner hears it, once.

    Args:
        token: The secret.
        expires_at: When it ends, in seconds since 1970.
    """

    token: str
    expires_at: float


class Tokens:
    """The tokens of one sandbox. Those issued before a refresh stay good until their own end: others may use them.

    Args:
        now: Gives the time, in seconds since 1970.
        life: Seconds that each is good for.
    """

    def __init__(self, now: Callable[[], float], life: float = LIFE) -> None:
        self._now = now
        self._life = life
        self._good: deque[tuple[bytes, float]] = deque(maxlen=KEPT)

    def issue(self) -> Issued:
        """A new token."""
        token, expires_at = secrets.token_urlsafe(32), self._now() + self._life
        self._good.append((_digest(token), expires_at))
        return Issued(token, expires_at)

    def knows(self, given: str) -> bool:
        """Whether *given* is one of them and still good, in a time that tells nothing of them."""
        now, digest = self._now(), _digest(given)
        found = [compare_digest(digest, known) and now < end for known, end in self._good]
        return any(found)


class Secret:
    """The one secret that a server was started with.

    Args:
        text: The secret; None: none is demanded.

    Raises:
        ValueError: It is empty, or has characters that headers do not carry.
    """

    def __init__(self, text: str | None) -> None:
        if text is not None and not (text and text.isascii() and text.isprintable() and " " not in text):
            raise ValueError(
                "token must be at least one visible ASCII character and have no spaces, got "
                + ("one that is empty: is the variable set?" if not text else "one that is not (not shown here)")
            )
        self._digest = None if text is None else _digest(text)

    @property
    def demanded(self) -> bool:
        """Whether there is one."""
        return self._digest is not None

    def knows(self, *given: str) -> bool:
        """Whether one of *given* is the secret, or none is demanded."""
        if self._digest is None:
            return True
        digest = self._digest
        found = [compare_digest(_digest(each), digest) for each in given]
        return any(found)


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()
