"""What processes tell each other of their states: one file each in a directory they share.

Files are replaced as a whole, so nobody reads half of one. Other files in the directory, such as those of the
Prometheus client library, are left alone.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from ..._log import log
from ..state import Circuit, State, add_up
from .processes import Process

VERSION = 1
PATTERN = "pyresilience_*.json"
"""The files of this module."""
MANY = 8
"""Files of ended processes that are let be; more are put together into one."""
TRIES = 5
"""How often a directory is read because it changes meanwhile."""
STRAY = 3600.0
"""Seconds after which a file that was begun and not finished is taken for a dead process's."""

_complained: set[Path] = set()
"""Files of which it was logged that they cannot be read."""
_untold: set[str] = set()
"""Labels of which it was logged that they cannot be written."""


@dataclass(frozen=True, slots=True)
class Share:
    """What stands in one file.

    Args:
        states: The states of one process, without their details.
        process: Which process it is; None: what several have left that have ended.
        ended: It is not going to count on.
        details: By label, the `recent` and the `history` of its state.
        absorbed: The names of the files that this one stands for as well.
        name: The file's name.
        heard: When it was last written or confirmed, in seconds since 1970.
    """

    states: list[State]
    process: Process | None = None
    ended: bool = False
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    absorbed: tuple[str, ...] = ()
    name: str = ""
    heard: float = 0.0

    @property
    def is_past(self) -> bool:
        """Whether what it says is held is no longer held."""
        return self.ended or self.process is None or not self.process.lives(self.heard)

    @property
    def is_final(self) -> bool:
        """Whether nobody will write it again, for certain."""
        return self.process is None or self.process.has_ended() is True


def gather(directory: Path) -> list[Share]:
    """All there are in *directory*, the latest last; what another file stands for is left out.

    A file that cannot be read is left out, which is logged once.
    """
    found: list[Share] = []
    for _ in range(TRIES):
        names = [path.name for path in directory.glob(PATTERN)]
        shares = [_read(directory / name) for name in names]
        found = [share for share in shares if share is not None]
        if all(share is not None or (directory / name).exists() for name, share in zip(names, shares, strict=True)):
            break  # else a file was put together with others after it was listed: look where it went
    done = {name for share in found for name in share.absorbed}
    return sorted((share for share in found if share.name not in done), key=lambda share: share.heard)


def together(shares: list[Share]) -> list[State]:
    """The sum of *shares*: one state per label. In one process a label counts once: as it was told last."""
    found = {
        (share.process or share.name, state.function): _past(state) if share.is_past else state
        for share in shares
        for state in share.states
    }
    return add_up(found.values())


def write(directory: Path, share: Share) -> None:
    """Write *share* to its file, all at once; the directory is made if there is none.

    Raises:
        OSError: It cannot be written.
    """
    told = [text for state in share.states if (text := _json(state.function, state.to_json()))]
    details = [f"{json.dumps(label)}:{text}" for label, each in share.details.items() if (text := _json(label, each))]
    facts = {
        "pyresilience": VERSION,
        "process": share.process and asdict(share.process),
        "ended": share.ended,
        "absorbed": share.absorbed,
    }
    text = f'{json.dumps(facts)[:-1]}, "states": [{",".join(told)}], "details": {{{",".join(details)}}}}}'
    directory.mkdir(parents=True, exist_ok=True)
    new = directory / f".{share.name}.new"
    new.write_text(text, encoding="ascii")
    new.replace(directory / share.name)


def _json(label: str, data: dict[str, Any]) -> str:
    """*data* as JSON; empty: it cannot be told, which is logged once."""
    try:
        return json.dumps(data, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        if label not in _untold:
            _untold.add(label)
            log().warning("what %r counts cannot be told to other processes, this is logged once: %s", label, error)
        return ""


def tidy(directory: Path) -> None:
    """Put the files of processes that have ended into one, if there are many, and remove those never finished.

    Nothing is done while another process is at it, nor on systems without `fcntl`.

    Raises:
        OSError: The directory cannot be written to.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        return
    with (directory / "pyresilience.lock").open("ab") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError:  # another process is at it
            return
        _absorb(directory)
        for path in directory.glob(f".{PATTERN}.new"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STRAY:
                    path.unlink()


def _absorb(directory: Path) -> None:
    """One file instead of many. Whenever it is interrupted, each count stands in exactly one file that counts."""
    listed = {path.name for path in directory.glob(PATTERN)}
    shares = gather(directory)
    for name in {name for share in shares for name in share.absorbed} & listed:
        (directory / name).unlink(missing_ok=True)
    ended = {share.name for share in shares if share.is_final}
    if len(ended) > MANY:
        final = [share for share in gather(directory) if share.name in ended]  # what they have said at the very last
        names = tuple(share.name for share in final)
        name = f"pyresilience_ended_{token_hex(8)}.json"
        write(directory, Share(together(final), ended=True, absorbed=names, name=name))
        for name in names:
            (directory / name).unlink(missing_ok=True)


def _past(state: State) -> State:
    """What remains of *state* when its process has ended: its counts. It was not there of late."""
    cache, circuit = state.cache, state.circuit
    return replace(
        state,
        cache=cache and replace(cache, entry_count=0, total_size_bytes=0, max_entries=None),
        circuit=circuit and Circuit("closed", circuit.transitions),
        recent=dict.fromkeys(state.recent, (None, None)),
        history={
            window: {name: [0] * len(counts) for name, counts in series.items()}
            for window, series in state.history.items()
        },
    )


def _read(path: Path) -> Share | None:
    """What stands in *path*; None: nothing that can be read, which is logged once."""
    try:
        heard = path.stat().st_mtime
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        if document["pyresilience"] != VERSION:
            raise ValueError(f"it is of version {document['pyresilience']!r}, and this library knows {VERSION}")
        process, details = document["process"], document["details"]
        return Share(
            [State.from_json({**state, **details.get(state["function"], {})}) for state in document["states"]],
            process and Process(str(process["machine"]), int(process["pid"]), str(process["started"])),
            bool(document["ended"]),
            absorbed=tuple(map(str, document["absorbed"])),
            name=path.name,
            heard=heard,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        if path not in _complained:
            _complained.add(path)
            log().warning("%s is left out, this is logged once: %s: %s", path, type(error).__name__, error)
        return None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no count")
