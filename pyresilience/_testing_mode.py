"""Whether the code under test should wait and retry as in production. `testing.set_testing` switches it."""

from __future__ import annotations


class Mode:
    """One switch for the process."""

    __slots__ = ("attempts",)

    def __init__(self) -> None:
        self.attempts: int | None = None
        """At most so many attempts, and no sleeps; None: as configured."""


mode = Mode()
