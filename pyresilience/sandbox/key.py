"""What makes two runs identical: the code, and all that it can see."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

from .job import Job

CHUNK = 1024 * 1024
"""Bytes of a file that are read at once."""


def key_of(job: Job, *, template: str, interpreter: str, secret: bytes) -> bytes | None:
    """The key of *job*: a keyed hash, so that neither code nor the values of the environment can be read from it.

    None: it has none, as its working directory links to another directory, which may change unseen.

    The timeout is not in it: it bounds the run, and does not change what the code sees.

    Args:
        job: The run.
        template: What kind of sandbox it runs in.
        interpreter: Which build of the interpreter runs it.
        secret: The key of the hash.

    Raises:
        OSError: A file of the working directory cannot be read.
    """
    digest = hashlib.blake2b(key=secret, digest_size=32)
    parts = [job.code, job.language, template, interpreter, repr(astuple(job.limits))]
    for name in sorted(job.env):
        parts += [name, job.env[name]]
    for part in parts:
        _add(digest, part.encode("utf-8", "surrogatepass"))
    if job.working_dir is not None:
        _add(digest, os.fsencode(job.working_dir))
        for content in _contents(job.working_dir):
            if content is None:
                return None
            _add(digest, content)
    return digest.digest()


def _add(digest: hashlib.blake2b, part: bytes) -> None:
    """Add *part*, with its length, so that no two sequences of parts look alike."""
    digest.update(len(part).to_bytes(8, "big"))
    digest.update(part)


def _contents(folder: Path) -> Iterator[bytes | None]:
    """What is in *folder*: names, kinds, permissions, and digests of the files; None: a link to a directory."""
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        yield os.fsencode(path.relative_to(folder))
        yield found.st_mode.to_bytes(8, "big")
        if stat.S_ISLNK(found.st_mode):
            yield os.fsencode(path.readlink())
            yield None if path.is_dir() else b""
        if path.is_file():
            yield _file(path)


def _file(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.blake2b(digest_size=32)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        return digest.digest()
