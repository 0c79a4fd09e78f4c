"""What it means to be mounted under a prefix."""

from __future__ import annotations


def check_prefix(prefix: str) -> None:
    """Refuse what is no prefix.

    Raises:
        ValueError: *prefix* does not begin with a slash, or ends with one.
    """
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise ValueError(f"prefix must begin with a slash and not end with one, such as '/ops', got {prefix!r}")


def is_under(path: str, prefix: str) -> bool:
    """Whether *path* is the mount point or goes on from there with a slash."""
    return path == prefix or path.startswith(f"{prefix}/")
