"""How a command ends that cannot do its work."""

from __future__ import annotations

import os


class Failure(Exception):  # noqa: N818 - it ends a command, and no stack trace comes of it
    """A command cannot do its work; the message says what, which, got, and what to do."""


def token_from(variable: str | None) -> str | None:
    """The token in an environment variable; None: no variable is named.

    It is never an argument of the command line, which every user of the machine can read.

    Raises:
        Failure: The variable is not set, or is empty.
    """
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token:
        state = "empty" if variable in os.environ else "not set"
        raise Failure(f"--token-env {variable}: the environment variable {variable} is {state}")
    return token
