"""The pages on the options of a cache say what the package does: every setting, every method, every field of an answer."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from pyresilience import CacheConfig, ResultCache
from pyresilience.cache.control import CacheControl
from pyresilience.cache.explain import NEAR
from pyresilience.cache.info import CacheState
from pyresilience.cache.ledger import LINES
from pyresilience.cache.terms import Zone
from pyresilience.cache.views import CacheEntry, Explanation
from pyresilience.events import CacheHit, CacheMissed

SETTINGS = {field.name: field.default for field in fields(CacheConfig)}
MEASURED = {"enable_metrics", "metrics_sampling_rate"}
"""The settings that the page on metrics explains."""

FEATURES = ("staleness", "waiting", "tokens-and-ttl", "memory", "tags", "tenants", "debugging-a-miss")


def settings(page):
    """The settings of a cache that have a row on a page, with their defaults, and the whole row."""
    for table in page.tables:
        if table[0][0] == "`CacheConfig`":
            return {row[0].strip("`"): (eval(row[1].strip("`")), row[2:]) for row in table[1:]}
    return {}


def codes(cell):
    """What stands as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture
def on_page(reference_pages):
    """The page of the reference of that name."""
    return lambda name: next(page for page in reference_pages if page.path.stem == name)


@pytest.fixture
def tables(reference_pages):
    """The tables of the whole reference by what stands at their head."""
    return {table[0][0].strip("`"): table[1:] for page in reference_pages for table in page.tables}


def test_the_settings_of_an_option_are_those_of_the_config(option_page):
    """A page on some settings shows them in the order of the config, each with its default."""
    stated = {name: default for name, (default, _) in settings(option_page).items()}
    assert list(stated.items()) == [(name, default) for name, default in SETTINGS.items() if name in stated]


def test_every_setting_of_the_cache_is_explained(reference_pages):
    """Beside the table of all settings each stands on the page of what it is for."""
    explained = {name for page in reference_pages if page.path.stem != "cache" for name in settings(page)}
    assert explained == set(SETTINGS) - MEASURED


def test_a_setting_takes_the_same_on_each_page(option_page, on_page):
    """What a setting takes does not depend on the page."""
    whole = settings(on_page("cache"))
    for name, (_, (takes, _)) in settings(option_page).items():
        assert takes == whole[name][1][0], name


def test_the_choices_of_a_setting_are_those_of_the_config(on_page):
    """Where a setting is one of several words, the table names them all."""
    words = {field.name: re.findall(r"'(\w+)'", str(field.type)) for field in fields(CacheConfig)}
    for name, (_, (takes, _)) in settings(on_page("cache")).items():
        stated = [code.strip('"') for code in codes(takes) if code.startswith('"')]
        assert stated == words[name] or name == "on_unhashable", name


def test_the_methods_of_the_control_surface_are_those_there_are(tables):
    """Every public member of `f.cache` has its row, and nothing else has."""
    rows = tables["On one call"] + tables["On the cache"]
    stated = {code.removeprefix("f.cache.").partition("(")[0] for row in rows for code in codes(row[0])}
    assert stated == {name for name in vars(CacheControl) if not name.startswith("_")}


def test_the_parameters_of_the_control_surface_are_those_there_are(tables):
    """Parameters and defaults are as in the signature."""
    for row in tables["On the cache"]:
        name, _, stated = codes(row[0])[0].removeprefix("f.cache.").rstrip(")").partition("(")
        member = vars(CacheControl)[name]
        taken = inspect.signature(member).parameters.values() if inspect.isfunction(member) else []
        shown = [each.name if each.default is each.empty else f"{each.name}={each.default!r}" for each in taken]
        if (named := [each.kind for each in taken].count(inspect.Parameter.KEYWORD_ONLY)) > 0:
            shown.insert(-named, "*")
        assert [each for each in shown if each != "self"] == [each for each in stated.split(", ") if each]


@pytest.mark.parametrize("view", [CacheEntry, Explanation], ids=lambda each: each.__name__)
def test_every_field_of_a_view_is_explained(tables, view):
    """The table of what is returned lists its fields, in order."""
    assert [row[0].strip("`") for row in tables[view.__name__]] == [each.name for each in fields(view)]


def test_every_field_of_the_state_is_explained(tables):
    """The counts come first, then what is going on."""
    state = ResultCache(CacheConfig()).info()
    assert type(state) is CacheState
    assert [row[0].strip("`") for row in tables["CacheState"]] == [*state._fields, *vars(state)]


def test_zones_and_reasons_are_those_there_are(tables):
    """The words for the state of an entry, and for a miss, are all there."""
    explained = {row[0].strip("`"): row[1] for head in ("CacheEntry", "Explanation") for row in tables[head]}
    assert {code.strip('"') for code in codes(explained["state"])} == {zone.value for zone in Zone}
    reasons = get_args(get_type_hints(Explanation)["reason"])
    assert [code.strip('"') for code in codes(explained["reason"])] == [*reasons]


@pytest.mark.parametrize(("event", "field"), [(CacheHit, "source"), (CacheMissed, "reason")])
def test_every_word_of_an_event_is_explained(tables, event, field):
    """The tables of sources and reasons name what the events can say."""
    assert {row[0].strip('`"') for row in tables[field]} == set(get_args(get_type_hints(event)[field]))


def test_numbers_in_the_prose_are_those_of_the_code(on_page):
    """How much is remembered is as stated."""
    prose = " ".join(on_page("cache-control").prose.split())
    assert f"the latest {LINES} departures" in prose
    assert f"the latest {NEAR} entries are looked at" in prose


@pytest.mark.parametrize("name", FEATURES)
def test_a_tutorial_shows_both_colours(root: Path, name):
    """Each feature is shown in a sync and in an async function, and leads to its reference."""
    text = (root / "docs" / "tutorial" / f"{name}.md").read_text(encoding="utf-8")
    assert re.search(r"^ *def ", text, re.MULTILINE)
    assert "async def " in text
    assert "](../reference/" in text
    assert "Next: [" in text


def test_an_example_on_an_option_shows_both_colours(option_page):
    """Who writes async code finds it on every page, and so does who does not."""
    code = "".join(block.code for block in option_page.python)
    assert "async def " in code
    assert re.search(r"^ *def ", code, re.MULTILINE)
