"""The languages that code can be in, and the interpreters that are there for them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import UnknownLanguageError

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH that code sees where it is given none."""

PATIENCE = 20.0
"""Seconds that an interpreter may take to tell its version."""

_MEBIBYTE = 1024 * 1024

# Runs a file as a program whose modules lie in the working directory. Its own frame is no part of a traceback.
_PYTHON_PROGRAM = """
def begin():
    import sys, os
    path, main = sys.argv.pop(1), sys.modules["__main__"].__dict__
    sys.argv[0], sys.path[0], main["__file__"] = path, os.getcwd(), path
    told = sys.excepthook
    def tell(kind, error, trace):
        while trace is not None and trace.tb_frame.f_code.co_filename == "<string>":
            trace = trace.tb_next
        told(kind, error.with_traceback(trace), trace)
    sys.excepthook = tell
    with open(path, "rb") as file:
        code = file.read()
    del main["begin"]
    return compile(code, path, "exec", dont_inherit=True)
exec(begin())
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter of this machine.

    Args:
        language: What it runs.
        path: Where it is.
        identity: Name, version and place of the build.
        suffix: What the names of its programs end in.
        folders: The directories that it needs to see, beside the system's own.
        reads_stdin: The program is given as standard input, because only then its modules are looked for in the
            working directory.
        reserves: It reserves far more address space than it uses, so what it uses is limited instead.
    """

    language: str
    path: str
    identity: str
    suffix: str
    folders: tuple[str, ...]
    reads_stdin: bool = False
    reserves: bool = False

    def command(self, file: str, memory_bytes: int) -> list[str]:
        """The command line that runs the program in *file* with so much memory."""
        if self.language == "python":
            # Unbuffered, so that nothing that it printed is lost when its time is up; without the user's own
            # packages; and without leaving compiled modules in the working directory.
            return [self.path, "-s", "-u", "-B", "-c", _PYTHON_PROGRAM, file]
        if self.language == "javascript":
            return [self.path, f"--max-old-space-size={max(16, memory_bytes // _MEBIBYTE * 3 // 4)}", "-"]
        return [self.path, "--noprofile", "--norc", file]

    @property
    def for_everybody(self) -> bool:
        """Whether every user of the machine may read and run it."""
        return all(_for_everybody(Path(each)) for each in (self.path, *self.folders))


def _for_everybody(path: Path) -> bool:
    path = path.resolve()
    wanted = stat.S_IROTH | stat.S_IXOTH
    return path.stat().st_mode & wanted == wanted and all(each.stat().st_mode & stat.S_IXOTH for each in path.parents)


@functools.cache
def interpreters() -> Mapping[str, Interpreter]:
    """Every interpreter that is there, by its language; looked for once."""
    found = (_python(), _javascript(), _bash())
    return {each.language: each for each in found if each is not None}


def interpreter(language: str) -> Interpreter:
    """The interpreter for *language*.

    Raises:
        UnknownLanguageError: There is none.
    """
    present = interpreters()
    if not isinstance(language, str) or language not in present:
        raise UnknownLanguageError(language, present)
    return present[language]


def base_python() -> str:
    """The interpreter that this one, or the virtual environment around it, comes from."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _python() -> Interpreter:
    path = base_python()
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info.releaselevel != "final":
        version += f"{sys.version_info.releaselevel}{sys.version_info.serial}"
    identity = f"{sys.implementation.name} {version} {path}"
    folders = {os.path.realpath(each) for each in (sys.base_prefix, sys.base_exec_prefix)}
    return Interpreter("python", path, identity, ".py", _beside_the_system(sorted(folders)))


def _javascript() -> Interpreter | None:
    path = _program("node", "nodejs")
    version = path and _version([path, "--version"], r"v(\S+)")
    if not path or not version:
        return None
    # An installation outside of /usr has its modules beside it: prefix/bin/node, prefix/lib/node_modules.
    folders = _beside_the_system([str(Path(path).parent.parent)])
    return Interpreter(
        "javascript", path, f"node {version} {path}", ".js", folders, reads_stdin=True, reserves=True
    )  # fmt: skip


def _bash() -> Interpreter | None:
    path = _program("bash")
    version = path and _version([path, "--version"], r"version (\S+)")
    if not path or not version:
        return None
    return Interpreter("bash", path, f"bash {version} {path}", ".sh", _beside_the_system([str(Path(path).parent)]))


def _program(*names: str) -> str | None:
    """Where the first of the programs *names* is that is there, without the links on the way."""
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path=SEARCHED):
            return os.path.realpath(found)
    return None


def _version(command: list[str], pattern: str) -> str | None:
    """The version that *command* prints; None: it does not work."""
    try:
        said = subprocess.run(  # noqa: S603 - an interpreter that is installed here
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True, text=True
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    matched = re.search(pattern, said)
    return matched.group(1) if matched else None


def _beside_the_system(folders: list[str]) -> tuple[str, ...]:
    """Those of *folders* that are not among the directories that every program sees."""
    system = {"/", "/usr", "/usr/local", "/bin", "/usr/bin", "/sbin", "/lib"}
    return tuple(each for each in folders if each not in system and not each.startswith("/usr/"))
