"""Files of states: written whole or not at all, and read with suspicion."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ..._log import log
from ..cache_metrics import CacheMetrics
from ..pipeline_metrics import PipelineMetrics
from ..state import State

FORMAT = "pyresilience metrics"
"""What a file says it is."""
VERSION = 1
LARGEST = 64 * 1024 * 1024
"""Bytes; a longer file is none of ours."""


def load(path: Path) -> list[State]:
    """The states in the file at *path*.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is no file of states, or of a later version than this one knows.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is no regular file")
    if found.st_size > LARGEST:
        raise ValueError(f"it is longer than {LARGEST} bytes")
    try:
        document = json.loads(path.read_bytes(), parse_int=_whole, parse_float=_number, parse_constant=_number)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError("it is no file of metrics")
        version = document.get("version")
        if version != VERSION:
            raise ValueError(f"it is of version {version!r}, and this pyresilience reads version {VERSION}")
        return [_proven(State.from_json(state)) for state in document["states"]]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def save(path: Path, states: Iterable[State]) -> None:
    """Put a file of *states* in the place of the one at *path*, whose permissions it gets.

    A state that JSON cannot hold is left out, which is logged once.

    Raises:
        OSError: It cannot be written; what was there before is there still.
    """
    told = [text for state in states if (text := _text(state))]
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "saved": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "pid": os.getpid(),
    }
    lines = ",\n".join(told)
    data = f'{json.dumps(facts)[:-1]}, "states": [\n{lines}\n]}}\n'.encode()
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # one that was begun when its process died
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _keep_permissions(path, descriptor)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    _sync(path.parent)


def set_aside(path: Path) -> Path:
    """Rename the file at *path*, and say what it is called now; an earlier one of that name is replaced.

    Raises:
        OSError: It cannot be renamed.
    """
    return path.replace(path.with_name(f"{path.name}.corrupt"))


def _proven(state: State) -> State:
    """*state*, if its counts can be restored.

    Raises:
        TypeError: They are none.
        ValueError: They are none.
    """
    if state.cache:
        CacheMetrics().restore(state.cache)
    if state.runs:
        PipelineMetrics().restore(state.function, state.runs)
    return state


_untold: set[str] = set()


def _text(state: State) -> str:
    try:
        return json.dumps(state.to_json(), separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        if state.function not in _untold:
            _untold.add(state.function)
            log().warning("the metrics of %.200r cannot be saved, this is logged once: %s", state.function, error)
        return ""


def _keep_permissions(path: Path, descriptor: int) -> None:
    """A file that is there may have been made readable for others, or for nobody."""
    with suppress(FileNotFoundError):
        before = path.stat()
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        if hasattr(os, "fchown"):
            with suppress(OSError):  # only root may give a file away
                os.fchown(descriptor, before.st_uid, before.st_gid)


def _sync(directory: Path) -> None:
    """Let the new name survive a power failure, where the system can."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _number(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{text} is no count and no duration")
    return number


def _whole(text: str) -> int:
    _number(text)
    return int(text)
