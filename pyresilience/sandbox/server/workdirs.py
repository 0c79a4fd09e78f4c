"""Where code may run: in the private directory of its run, whatever the client calls it."""

from __future__ import annotations

from .refusals import invalid

WORKSPACE = "/workspace"
"""What clients call the directory of a run; each run gets a fresh one, removed afterwards."""


def check_workdir(given: str) -> None:
    """Accept what means the private directory of the run, and nothing else.

    No path of this machine can be named: a run that saw another's files could not be answered from the cache, and
    a client that chose the directory could read the server's.

    Raises:
        Refused: 400, it means another directory.
    """
    plain = given.removesuffix("/") if given != "/" else given
    if plain not in ("", ".", WORKSPACE):
        raise invalid(
            f"workdir must be {WORKSPACE!r} (also '.', or left out), the private directory of the run, "
            f"got {given[:200]!r}",
            "workdir",
        )
