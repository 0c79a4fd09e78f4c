"""What goes wrong with a sandbox itself. What the code in it does is no error here: it is a result.

```
ResilienceError
└─ SandboxError
   ├─ SandboxClosedError      it was killed
   └─ UnknownLanguageError    also a ValueError
```
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import ResilienceError


class SandboxError(ResilienceError):
    """A run could not be begun."""


class SandboxClosedError(SandboxError):
    """The sandbox was killed, or its time is over."""


class UnknownLanguageError(SandboxError, ValueError):
    """There is no interpreter for that language here."""

    def __init__(self, language: object, present: Iterable[str]) -> None:
        super().__init__(f"no interpreter for {language!r} is installed here; there are {', '.join(sorted(present))}")
        self.language = language


class SandboxWarning(UserWarning):
    """Code runs with less protection than this library can give."""
