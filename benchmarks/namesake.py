"""The package on PyPI that has our name: unrelated, and the nearest comparison. It gets a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = "0.4.1"
FOLDER = (Path(sys.prefix) if sys.prefix != sys.base_prefix else ROOT / "build") / f"peer-{VERSION}"
"""Inside the virtual environment that is in use, where there is one."""


def install() -> str | None:
    """Fetch it, once; return why it is not there, if so."""
    if FOLDER.is_dir():
        return None
    fresh = FOLDER.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += [
        "--disable-pip-version-check",
        "--only-binary=:all:",
        "--target",
        str(fresh),
        f"pyresilience=={VERSION}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        return f"version {VERSION} of our name could not be fetched from PyPI: {why}"
    fresh.rename(FOLDER)
    return None
