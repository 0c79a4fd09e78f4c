"""The parts of the supervisor: removing what resists, and giving away what it made."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyresilience.sandbox.executors import launch, users
from pyresilience.sandbox.executors.launch.ownership import hand_over
from pyresilience.sandbox.executors.launch.removal import remove
from pyresilience.sandbox.executors.output import Output


def test_removing_follows_no_link(tmp_path):
    """A link is removed, and not what it leads to; so too when the directory itself is one."""
    outside = tmp_path / "outside"
    outside.mkdir(0o700)
    (outside / "file").touch()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    remove(str(inside))
    (tmp_path / "inside").symlink_to(outside)
    remove(str(inside))
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "outside"]


def test_removing_what_is_not_there(tmp_path):
    """Nothing is done."""
    remove(str(tmp_path / "nothing"))


def test_removing_what_is_deep_and_locked(tmp_path):
    """Neither depth nor permissions nor names that it uses itself are in the way."""
    top = tmp_path / "top"
    top.mkdir()
    for name in ("0", "1", "2"):
        (top / name / "0" / "1").mkdir(parents=True)
    here = os.open(top, os.O_RDONLY)
    try:
        for _ in range(2000):
            os.mkdir("d" * 200, dir_fd=here)
            deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        os.fchmod(here, 0)
    finally:
        os.close(here)
    top.chmod(0)
    remove(str(top))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_handing_over(tmp_path):
    """What belongs to the run's user is given to the directory's owner; what does not stays, links are not followed."""
    (tmp_path / "shared" / "folder").mkdir(parents=True)
    mine, others, outside = (tmp_path / each for each in ("shared/folder/mine", "shared/others", "outside"))
    for path, owner in ((mine, 1_900_000_001), (others, 12), (outside, 1_900_000_001)):
        path.touch()
        os.chown(path, owner, owner)
    (tmp_path / "shared" / "link").symlink_to(outside)
    hand_over(str(tmp_path / "shared"), 1_900_000_001)
    assert [each.stat().st_uid for each in (mine, others, outside)] == [0, 12, 1_900_000_001]


def test_the_supervisor_loads_next_to_nothing():
    """It starts fast, as it imports neither this package nor what takes long to load."""
    code = "import sys; sys.path.append(sys.argv[1]); import launch.supervise; print(*sys.modules)"
    place = str(Path(launch.__file__).parents[1])
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, place], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "launch.child" in said
    assert not {"typing", "enum", "re", "pathlib", "subprocess", "pyresilience", "signal"} & set(said)


def test_users_of_their_own():
    """Root's runs get ids that nobody has, as often as not different ones; others get none."""
    found = {users.unused_user() for _ in range(20)}
    if os.geteuid() == 0:
        assert all(each in users.HIGH or each in users.LOW for each in found)
        assert len(found) > 1
    else:
        assert found == {None}


def test_an_output_is_read_as_far_as_it_is_kept():
    """The rest is thrown away, and a last line says how much."""
    reads, writes = os.pipe()
    output = Output("stdout", reads, 4)
    os.write(writes, b"123456\n")
    assert output.read()
    assert not output.cut or output.text() == "1234\n[stdout cut after 4 bytes, 3 more were thrown away]\n"
    assert output.cut
    os.write(writes, b"789")
    os.close(writes)
    output.close()
    assert output.text() == "1234\n[stdout cut after 4 bytes, 6 more were thrown away]\n"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reads)


def test_a_pipe_that_somebody_still_writes_to_is_not_waited_for():
    """Closing reads what is there, and does not wait for more."""
    reads, writes = os.pipe()
    output = Output("stderr", reads, 100)
    os.write(writes, b"there")
    output.close()
    assert output.text() == "there"
    assert stat.S_ISFIFO(os.fstat(writes).st_mode)
    os.close(writes)
