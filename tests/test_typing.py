"""The public API as type checkers see it: types are tested like behaviour."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).parent / "typing" / "api.py"


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_api_has_the_types_it_promises(checker):
    """Decorating preserves parameters and result, handles are typed, and misuse is refused."""
    pytest.importorskip(checker, reason="comes with the dependency group `check`")
    command = [sys.executable, "-m", checker, *(["--strict"] if checker == "mypy" else []), str(API)]
    done = subprocess.run(command, cwd=API.parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
