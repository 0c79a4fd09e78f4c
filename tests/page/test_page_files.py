"""The files of the page, without a browser: nothing from elsewhere, nothing inline, and colours that can be read."""

from __future__ import annotations

import re

import pytest

from pyresilience.http import files

OURS = sorted(path for path in files.FOLDER.iterdir() if not path.name.startswith("uplot."))
SCRIPTS = [path for path in OURS if path.suffix == ".js"]
INDEX = (files.FOLDER / files.INDEX).read_text()
STYLE = (files.FOLDER / "colours.css").read_text()


def test_every_file_that_is_named_is_there():
    """What the page, its scripts and its README name is shipped, and nothing is shipped that nobody names."""
    named = set(re.findall(r'(?:src|href)="page/([^"]+)"', INDEX))
    for path in SCRIPTS:
        named |= set(re.findall(r'from "\./([^"]+)"', path.read_text()))
    assert named | {files.INDEX, "uplot.LICENSE"} == set(files.shipped())
    told = set(re.findall(r"`([\w.]+\.(?:js|css|html|LICENSE))`", (files.FOLDER / "README.md").read_text()))
    assert told == set(files.shipped())


def test_addresses_are_relative():
    """Under any mount prefix: no address begins with a slash or names a host."""
    addresses = re.findall(r'(?:src|href)="([^"]+)"', INDEX)
    assert len(addresses) > 4
    assert not [each for each in addresses if each.startswith(("/", "http", "//")) and not each.startswith("data:")]
    for path in (*SCRIPTS, *files.FOLDER.glob("*.css")):
        assert "://" not in path.read_text(), path.name
        assert not re.search(r"""fetch\(["'`]/""", path.read_text()), path.name


def test_nothing_is_inline():
    """The policy forbids inline scripts and styles; there is none, and its text is the one that the README gives."""
    assert not re.search(r"<script(?![^>]*\bsrc=)", INDEX)
    assert not re.search(r"<style|\sstyle=|\son\w+=", INDEX)
    assert "unsafe" not in files.POLICY
    readme = " ".join((files.FOLDER / "README.md").read_text().split())
    assert files.POLICY in readme


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_texts_never_become_markup(path):
    """No script has a way to turn a text, such as the name of a function, into markup or code."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|setHTML|srcdoc"
    assert not re.search(ways, path.read_text())


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_page_files_are_short(path):
    """Its own files have at most 300 lines, as all files of the house."""
    assert len(path.read_text().splitlines()) <= 300


def test_the_library_has_its_licence_and_version():
    """The vendored library stands beside its licence, in the version that the README names."""
    version = re.search(r"uPlot \(v([\d.]+)\)", (files.FOLDER / "uplot.iife.min.js").read_text()[:200])[1]
    assert f"uPlot {version}" in (files.FOLDER / "README.md").read_text()
    licence = (files.FOLDER / "uplot.LICENSE").read_text()
    assert "The MIT License" in licence
    assert "Leon Sorokin" in licence


def schemes():
    """The colours of both schemes, by name."""
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    read = [dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", each)) for each in (light, dark)]
    return {"light": read[0], "dark": read[0] | read[1]}


def contrast(one, other):
    """The contrast of two colours (WCAG 2.2, "contrast ratio")."""
    both = []
    for colour in (one, other):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        both.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(both) + 0.05) / (min(both) + 0.05)


TEXTS = [
    ("--text", "--card"), ("--text", "--ground"), ("--text", "--hover"), ("--text", "--bad-ground"),
    ("--text", "--warning-ground"), ("--muted", "--card"), ("--muted", "--ground"), ("--muted", "--hover"),
    ("--muted", "--bad-ground"), ("--muted", "--warning-ground"), ("--failure", "--card"), ("--failure", "--hover"),
    ("--failure", "--bad-ground"), ("--accent", "--card"), ("--accent-text", "--accent"),
]  # fmt: skip
LINES = ["--hit", "--stale", "--success", "--fallback", "--rejected", "--failure", "--closed"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(scheme):
    """Texts have a contrast of 4.5 or more on what they stand on, lines of 3 or more (WCAG 2.2, level AA)."""
    colours = schemes()[scheme]
    pale = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in TEXTS}
    assert not {pair: ratio for pair, ratio in pale.items() if ratio < 4.5}
    faint = {line: contrast(colours[line], colours["--card"]) for line in LINES}
    faint |= {f"{line} on its area": contrast(colours[line], colours[f"{line}-fill"]) for line in LINES[:-1]}
    assert not {line: ratio for line, ratio in faint.items() if ratio < 3}


def test_both_schemes_have_all_colours():
    """The dark scheme leaves no colour of the light one as it is."""
    light, dark = schemes()["light"], schemes()["dark"]
    assert len(light) > 20
    assert not [name for name in light if light[name] == dark[name] and name != "--accent-text"]
