"""Where and with what a run was made."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from datetime import date
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import namesake

_OTHERS = (
    "anyio", "tenacity", "stamina", "pybreaker", "cachetools", "cachebox", "async-lru",
    "aiocache", "cachier", "prometheus-client",
)  # fmt: skip


def facts() -> dict[str, str]:
    """What a reader needs to know in order to compare, by label."""
    others = ", ".join(f"{name} {_version(name)}" for name in _OTHERS)
    return {
        "Machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Packages": f"pyresilience {_version('pyresilience')}, {namesake.VERSION} of our name from PyPI, {others}",
        "Date": date.today().isoformat(),  # noqa: DTZ011 - the day where it was run
    }


def busy() -> str:
    """How much else the machine has to do."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def stale() -> bool:
    """Whether the package that is installed, and so measured, is another than the checkout's."""
    elsewhere = [folder for folder in sys.path if Path(folder or ".").resolve() != namesake.ROOT]
    spec = PathFinder.find_spec("pyresilience", elsewhere)
    if spec is None or spec.origin is None:  # then the checkout itself is what is seen
        return False
    return _digest(Path(spec.origin).parent) != _digest(namesake.ROOT / "pyresilience")


def _digest(folder: Path) -> str:
    content = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        content.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return content.hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown processor")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
