"""What the pages say agrees with the package, and their links lead somewhere."""

import re
from dataclasses import MISSING, fields
from urllib.parse import urlsplit

import pyresilience
from pyresilience import sandbox

HEADINGS = ["What it does", "Settings and defaults", "Events", "Errors", "Mistakes to avoid"]


def test_a_capability_has_the_headings_of_all(capability_page):
    """Who knows the page of one capability finds everything on that of another."""
    assert capability_page.headings == HEADINGS


def test_a_capability_shows_an_example(capability_page):
    """What it does is shown, in code that runs."""
    part = capability_page.text.partition("## What it does")[2].partition("## Settings and defaults")[0]
    assert "### Example" in part
    assert "```python" in part


def test_settings_and_defaults_are_those_of_the_config(settings_page):
    """A table headed by a config lists every field of it in order, each with its default."""
    tables = [table for table in settings_page.tables if table[0][0].strip("`") in pyresilience.__all__]
    assert tables, "no table of settings on this page"
    for head, *rows in tables:
        config = getattr(pyresilience, head[0].strip("`"))
        stated = [(row[0].strip("`"), eval(row[1].strip("`"))) for row in rows]
        assert stated == [(field.name, field.default) for field in fields(config) if field.default is not MISSING]


def test_every_config_has_its_table(reference_pages):
    """No config is left out of the tables."""
    configs = {name for name in pyresilience.__all__ if name.endswith("Config")}
    headed = {table[0][0].strip("`") for page in reference_pages for table in page.tables}
    assert configs <= headed


def test_the_table_of_event_types_is_complete(reference_pages):
    """The page on events names every type, and nothing that is none."""
    page = next(page for page in reference_pages if page.path.name == "events.md")
    named = {row[0].strip("`") for table in page.tables if table[0][0] == "`EventType`" for row in table[1:]}
    assert named == {event_type.name for event_type in pyresilience.EventType}


def test_a_capability_names_events_and_errors_that_exist(capability_page):
    """What stands in the tables of events and errors is an event type, or an error that can be imported."""
    for heading, known in (
        ("Events", {each.name for each in pyresilience.EventType}),
        ("Errors", {name for name in [*pyresilience.__all__, *sandbox.__all__] if name.endswith("Error")}),
    ):
        for table in capability_page.tables:
            if table[0][0] == heading.removesuffix("s"):
                named = {row[0].strip("`") for row in table[1:]}
                assert named <= known | {"TypeError", "ValueError", "ImportError", "OSError", "NotADirectoryError"}


def test_every_public_name_is_in_the_api(reference_pages):
    """The API page renders the docstring of every public name."""
    page = next(page for page in reference_pages if page.path.name == "api.md")
    rendered = set(re.findall(r"^::: pyresilience\.(\w+)$", page.text, re.MULTILINE))
    assert rendered >= set(pyresilience.__all__)


def test_every_public_name_is_explained(reference_pages):
    """Beside its docstring, each public name stands in the prose of the reference."""
    prose = "".join(page.prose for page in reference_pages if page.path.name != "api.md")
    coded = " ".join(re.findall(r"`([^`\n]+)`", prose))
    assert [name for name in pyresilience.__all__ if not re.search(rf"\b{name}\b", coded)] == []


def test_relative_links_resolve(page):
    """A link to a file of the repository leads to one, and its anchor to a heading there."""
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.path.parent / parts.path).resolve() if parts.path else page.path
        assert target.exists(), link
        if parts.fragment:
            assert parts.fragment in _anchors(target.read_text(encoding="utf-8")), link


def test_images_are_there(page):
    """What a page shows is a file of the repository, and who cannot see it is told what it is."""
    for alternative, link in page.images:
        assert (page.path.parent / urlsplit(link).path).is_file(), link
        assert len(alternative) > 20, link


def test_no_image_is_left_over(all_pages, root):
    """Every image of the documentation is shown somewhere."""
    shown = {(page.path.parent / urlsplit(link).path).resolve() for page in all_pages for _, link in page.images}
    assert set((root / "docs/images").glob("*")) == shown


def test_links_within_the_docs_stay_there(page, root):
    """The built pages hold docs/ alone, so a page of it links to no file outside."""
    docs = root / "docs"
    if docs not in page.path.parents:
        return
    for link in page.links:
        parts = urlsplit(link)
        if not parts.scheme and parts.path:
            assert docs in (page.path.parent / parts.path).resolve().parents, link


def test_the_navigation_is_complete(all_pages, root):
    """Every page stands in the navigation, and everything in the navigation is a page."""
    docs = root / "docs"
    nav = re.findall(r"^ +- .+: (\S+\.md)$", (root / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    there = {page.path.relative_to(docs).as_posix() for page in all_pages if docs in page.path.parents}
    assert set(nav) == there - {"reference/benchmark-table.md"}


def test_no_page_installs_the_package_of_our_name(page):
    """An unrelated package has the name on PyPI: no page tells a reader to install that."""
    assert not re.search(r"pip install [^\n]*pyresilience", page.text)


def _anchors(text):
    """The anchors of the headings, as both GitHub and MkDocs make them for plain ones."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
