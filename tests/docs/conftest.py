"""Pages: the README, CONTRIBUTING and everything under docs/, read as a reader does: headings, code, tables, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from pyresilience.testing import set_testing

ROOT = Path(__file__).parents[2]
STAGES = ("fallback", "retry", "circuit-breaker", "rate-limiter", "bulkhead", "timeout")
OPTIONS = ("staleness", "waiting", "lifetimes", "contents", "eviction", "tags", "keys", "cache-control")
AROUND = ("metrics", "exporters", "http", "sandbox", "sandbox-server")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|(.+)\|$")
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block, and the line of the page that its first line is."""

    language: str
    code: str
    line: int


@dataclass(frozen=True)
class Page:
    """A page of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(found["language"].strip(), dedent(found["code"]), self.text.count("\n", 0, found.start("code")) + 1)
            for found in _FENCE.finditer(self.text)
        ]

    @property
    def python(self) -> list[Block]:
        """The blocks that run."""
        return [block for block in self.blocks if block.language == "python"]

    @property
    def has_tests(self) -> bool:
        return any(re.search(r"^(async )?def test_", block.code, re.MULTILINE) for block in self.python)

    @property
    def headings(self) -> list[str]:
        """The headings of the second level."""
        return re.findall(r"^## (.+)$", self.prose, re.MULTILINE)

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def images(self) -> list[tuple[str, str]]:
        """What is shown: the text that stands in for it, and where it is."""
        return _IMAGE.findall(self.prose)

    @property
    def tables(self) -> list[list[list[str]]]:
        """Every table as rows of cells; the first row is its head."""
        tables: list[list[list[str]]] = []
        inside = False
        for line in self.prose.splitlines():
            row = _ROW.match(line)
            if row is None:
                inside = False
                continue
            cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", row[1])]
            if not inside:
                tables.append([])
            inside = True
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                tables[-1].append(cells)
        return tables


def pages() -> list[Page]:
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in paths]


def reference(name: str) -> Page:
    return Page(ROOT / "docs" / "reference" / f"{name}.md")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Fixtures that stand for one page after the other."""
    kinds = {
        "page": pages(),
        "code_page": [page for page in pages() if page.python],
        "tested_page": [page for page in pages() if page.has_tests],
        "settings_page": [reference(each) for each in ("cache", *STAGES)],
        "capability_page": [reference(each) for each in ("cache", *OPTIONS, *STAGES, *AROUND)],
        "option_page": [reference(each) for each in OPTIONS],
    }
    for fixture in kinds.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(fixture, kinds[fixture], ids=lambda page: page.name)


@pytest.fixture(autouse=True)
def _as_configured():
    """Whatever a page switches on ends with its test."""
    with set_testing(False):
        yield


@pytest.fixture(autouse=True)
def _unconfigured(request):
    """Django has one set of settings per process: a page finds none, and takes its own along."""
    shown = request.getfixturevalue("code_page") if "code_page" in request.fixturenames else None
    if shown is None or not any("django" in block.code for block in shown.python):
        yield
        return
    from django.conf import empty, settings

    before, settings._wrapped = settings._wrapped, empty
    yield
    settings._wrapped = before


@pytest.fixture(autouse=True)
def _connections_closed(request, monkeypatch):
    """The vendor's client for sandboxes leaves its connections open: after a page that uses it they are closed."""
    shown = request.getfixturevalue("code_page") if "code_page" in request.fixturenames else None
    if shown is None or not any("hopx_ai" in block.code for block in shown.python):
        yield
        return
    import httpx

    opened, begin = [], httpx.Client.__init__

    def begun(client, *args, **kwargs):
        begin(client, *args, **kwargs)
        opened.append(client)

    monkeypatch.setattr(httpx.Client, "__init__", begun)
    yield
    for client in opened:
        client.close()


@pytest.fixture
def reference_pages() -> list[Page]:
    return [page for page in pages() if "reference" in page.path.parts]


@pytest.fixture
def all_pages() -> list[Page]:
    return pages()


@pytest.fixture
def root() -> Path:
    return ROOT
