"""What the supervisor is told, and what it reports."""

from __future__ import annotations

from typing import TypedDict


class Orders(TypedDict):
    """One run.

    It travels from one interpreter to another of the same build in `marshal`'s format, which needs nothing loaded.
    """

    parent: int
    """The process that asks for the run; when it is gone, so is the run."""
    directory: str
    """The run's own directory, made at the beginning and removed at the end."""
    directories: list[str]
    """What is made in it."""
    file: str
    """The file in it that the code is written to."""
    code: bytes
    command: list[str]
    environment: dict[bytes, bytes]
    working_directory: str
    stdin: str
    """The file that the program reads."""
    told: bytes | None
    """What the program finds in its file number 3; None: it has no such file."""
    limits: list[tuple[int, int]]
    """Resource limits, as `setrlimit` takes them."""
    timeout: float
    separate: bool
    """Whether to give it a world of processes of its own, where the system allows it. Bubblewrap does that itself."""
    user: int | None
    """The user id that the run's directory belongs to; None: this one."""
    become: bool
    """Whether the program is started as that user. Within bubblewrap that comes later."""
    shared: str | None
    """A directory of somebody else's that it works in: what it has made there is given to its owner."""
    capabilities: int
    """What it keeps of root's powers then."""


class Report(TypedDict):
    """How a run ended."""

    status: int | None
    """As `waitpid` says it; None: it did not end by itself."""
    timed_out: bool
    seconds: float
    error: tuple[int, str] | None
    """Why it could not be started."""
    left: str | None
    """Why its directory could not be removed."""
