"""The files of the page, as they ship with the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from .messages import NO_STORE, NOSNIFF, Answer, Refused, Request

FOLDER = Path(__file__).parent / "page"
INDEX = "index.html"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
    ".LICENSE": "text/plain; charset=utf-8",
}
"""What is served, by the end of its name; nothing else is."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: nothing from elsewhere, nothing inline."""
_PAGE_HEADERS = (("Content-Security-Policy", POLICY), ("Referrer-Policy", "no-referrer"), NOSNIFF)


@dataclass(frozen=True, slots=True)
class File:
    """One file: its media type, what is in it, and the tag by which a browser knows it again."""

    kind: str
    content: bytes
    tag: str


@cache
def shipped() -> dict[str, File]:
    """Every file of the page by its path in the folder, such as `vendor/chart.js`.

    A request can only name a key of this table: there is no way from a path to the disk.
    """
    files = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in TYPES and path.is_file():
            content = path.read_bytes()
            name = path.relative_to(FOLDER).as_posix()
            files[name] = File(TYPES[path.suffix], content, f'"{sha256(content).hexdigest()[:24]}"')
    return files


def page() -> Answer:
    """The page itself.

    Raises:
        Refused: The package was installed without it.
    """
    file = shipped().get(INDEX)
    if file is None:
        raise Refused(404, "NOT_FOUND", "the page is not part of this installation")
    return Answer(200, (("Content-Type", file.kind), NO_STORE, *_PAGE_HEADERS), file.content)


def asset(request: Request, name: str) -> Answer:
    """One of the page's files; 304 if the browser has it already.

    Raises:
        Refused: There is none of this name.
    """
    file = shipped().get(name) if name != INDEX else None
    if file is None:
        raise Refused(404, "NOT_FOUND", "the page has no such file")
    # Kept by the browser, but asked for anew each time: after an upgrade nobody sees half of the old page.
    headers = (("Cache-Control", "no-cache"), ("ETag", file.tag), *_PAGE_HEADERS)
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if file.tag in known or "*" in known:
        return Answer(304, headers)
    return Answer(200, (("Content-Type", file.kind), *headers), file.content)
