"""Running code in a process of this machine, with limits: for code that is trusted."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..job import Job
from ..languages import SEARCHED, Interpreter
from .launch.orders import Orders
from .supervised import Place, SupervisedExecutor, orders_for
from .users import OWN_ALL, READ_ALL, WRITE_ALL


class SubprocessExecutor(SupervisedExecutor):
    """Runs code in a process of its own. For *trusted code*: it reads the files and uses the network as anybody can.

    What it may take is limited, and all that it starts ends with it. On Linux it gets a world of processes of its own,
    where the system allows that, so that it sees and signals no others. Started by root it gets a user id of its own
    as well: then it is counted and signalled apart from everybody else. Of root's powers it keeps, where it needs
    them, those over files: to read what its interpreter consists of, and to use a working directory that is given.

    Where neither is allowed (not root, and no user namespaces), code that means it can kill its supervisor, and then
    leave a process behind. Use bubblewrap, or a machine of its own, for code that you do not trust.
    """

    name = "subprocess"

    def _orders(self, job: Job, interpreter: Interpreter, place: Place) -> Orders:
        scratch = f"{place.directory}/tmp"  # noqa: S108 - in a directory of its own
        own = f"{place.directory}/work"
        given = job.working_dir
        orders = orders_for(job, interpreter, place, interpreter.command(place.file, job.limits.memory_bytes))
        orders["working_directory"] = own if given is None else str(Path(given).absolute())
        orders["directories"] = [scratch, own] if given is None else [scratch]
        variables = {"PATH": SEARCHED, "HOME": own if given is None else scratch, "TMPDIR": scratch, "LANG": "C.UTF-8"}
        orders["environment"] = {os.fsencode(k): os.fsencode(v) for k, v in {**variables, **job.env}.items()}
        orders["separate"] = orders["become"] = True
        if given is not None:
            orders["capabilities"] = READ_ALL | WRITE_ALL | OWN_ALL
        elif not (interpreter.for_everybody and _passable(tempfile.gettempdir())):
            orders["capabilities"] = READ_ALL
        return orders


def _passable(directory: str) -> bool:
    """Whether everybody may go through *directory*."""
    path = Path(directory).resolve()
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))
