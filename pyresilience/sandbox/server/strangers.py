"""Who is turned away where no token is set: other machines, and web pages of other origins in a browser here."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from ...http.messages import Refused
from .requests import Request


def turn_away(request: Request) -> None:
    """Refuse what does not come from a program of this machine.

    A page that a browser here shows can send requests to this machine, and under a name of its own that leads here
    (DNS rebinding) even read the answers. Its name or its origin gives it away.

    Raises:
        Refused: 403.
    """
    host = _name(f"//{request.headers.get('host', 'localhost')}")
    origin = request.headers.get("origin")
    if _is_elsewhere(request.client):
        raise _forbidden("it is asked from another machine")
    if not _is_here(host):
        raise _forbidden("it is asked under a name that is not this machine's own: use 127.0.0.1 or localhost")
    if origin is not None and not _is_here(_name(origin)):
        raise _forbidden("it is asked by a web page from elsewhere")


def _forbidden(reason: str) -> Refused:
    return Refused(403, "FORBIDDEN", f"without a token only programs of this machine are served, and {reason}")


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_here(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_elsewhere(address: str) -> bool:
    """Whether *address* is known to be another machine's."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return not (found.is_loopback or (mapped is not None and mapped.is_loopback))
