"""Asks a server for its figures, and says clearly why there are none."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

from .failure import Failure

MAX_ANSWER = 64 * 1024 * 1024
"""Bytes that an answer may have."""
PIECE = 64 * 1024

ROUTES = ("/stats.json", "/cache/stats", "/cache/clear", "/metrics", "/healthz")
"""What may stand at the end of an address that was copied from somewhere."""


def address_of(text: str, window: int | None = None) -> str:
    """Where the figures are, for what a person calls the server.

    `localhost:8321`, `https://shop.example/ops` and `http://127.0.0.1:8321/ops/metrics` will all do.

    Args:
        text: The address of the server or of the mount point; without a scheme it is `http`.
        window: Seconds to look back; None: since the start.

    Raises:
        Failure: It is no address, or has a password in it.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Failure(f"{text!r} is not an address: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise Failure(f"{text!r} is not an address: only http and https will do, got {parts.scheme!r}")
    if not host or not text.isprintable() or " " in text:
        raise Failure(f"{text!r} is not an address: give one such as localhost:8321 or https://shop.example/ops")
    if "@" in parts.netloc:
        raise Failure("an address with a password in it is shown to others: use --token-env VARIABLE instead")
    path = parts.path.rstrip("/")
    for route in ROUTES:
        path = path.removesuffix(route)
    query = "" if window is None else urlencode({"window": window})
    return urlunsplit(SplitResult(parts.scheme, parts.netloc, f"{path}/stats.json", query, ""))


def fetch(address: str, *, token: str | None = None, timeout: float = 5.0) -> dict[str, Any]:
    """The figures at *address*.

    Args:
        address: What `address_of` has made.
        token: Sent as `Authorization: Bearer`, to this host alone.
        timeout: Seconds until the whole answer must be there.

    Raises:
        Failure: There is no answer in time, or it is not one of ours.
    """
    headers = {"Accept": "application/json", "User-Agent": "pyresilience"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - address_of lets http and https pass
    try:
        with _opener(request.host).open(request, timeout=timeout) as answer:
            return _figures(_read(answer, time.monotonic() + timeout), address)
    except urllib.error.HTTPError as error:
        with error:
            raise Failure(f"{address} answered {error.code} {error.reason}{_explained(error)}") from None
    except TimeoutError:
        raise Failure(f"{address} did not answer within {timeout:g} s") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise Failure(f"{address} did not answer within {timeout:g} s") from None
        why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        advice = "" if "SSL" in type(reason).__name__ else "; is the server running?"
        raise Failure(f"{address} cannot be reached: {why}{advice}") from None


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects on the same host alone, and never from https to http: the token goes with them."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request to follow with."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.hostname != old.hostname or (old.scheme == "https" and new.scheme != "https"):
            raise Failure(
                f"{req.full_url} sends us on to {newurl[:200]!r}, and we stay with {old.netloc}: give the address itself"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(host: str) -> urllib.request.OpenerDirector:
    """What opens addresses: with the proxies of the environment, except for this machine itself."""
    handlers: list[urllib.request.BaseHandler] = [_SameHost()]
    if _is_here(urlsplit(f"//{host}").hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(answer: Any, end: float) -> bytes:
    """The body, which must be there by *end*, however slowly it drips."""
    body = b""
    while piece := answer.read1(PIECE):
        body += piece
        if len(body) > MAX_ANSWER:
            raise Failure(f"the answer is longer than {MAX_ANSWER} bytes")
        if time.monotonic() > end:
            raise TimeoutError
    return body


def _figures(body: bytes, address: str) -> dict[str, Any]:
    foreign = f"{address} answered, but not with the figures of pyresilience: is this the right address and path?"
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Failure(foreign) from None
    if not isinstance(content, dict) or not isinstance(content.get("functions"), list) or "history" not in content:
        raise Failure(foreign)
    if not all(isinstance(each, dict) and isinstance(each.get("function"), str) for each in content["functions"]):
        raise Failure(foreign)
    return content


def _explained(error: urllib.error.HTTPError) -> str:
    """What the server says of its error, if it is one of ours."""
    try:
        content = json.loads(error.read(PIECE))
    except (ValueError, RecursionError, OSError, HTTPException):
        return ""
    said = content.get("error") if isinstance(content, dict) else None
    if not isinstance(said, str):
        return ""
    advice = " (here: --token-env VARIABLE)" if error.code == 401 else ""
    return f": {said if said.isprintable() else repr(said)}{advice}"
