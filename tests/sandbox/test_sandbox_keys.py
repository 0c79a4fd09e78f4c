"""What makes two runs identical, and what can be read from a key: nothing."""

from __future__ import annotations

import gc
import json
import os
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyresilience.sandbox import Execution, Job, Limits
from pyresilience.sandbox.key import key_of

SECRET = bytes(32)
TEXT = st.text("ab\n\0é=", max_size=4)
NAMES = st.text("ab/", min_size=1, max_size=3)
VALUES = st.text("ab\n=", max_size=3)

FACTS = st.fixed_dictionaries(
    {
        "code": TEXT,
        "language": st.sampled_from(["python", "bash", "a", ""]),
        "env": st.dictionaries(NAMES, VALUES, max_size=3),
        "limits": st.builds(Limits, cpu_seconds=st.sampled_from([1, 1.5, 15]), processes=st.integers(1, 12)),
        "template": st.sampled_from(["base", "python", "a", ""]),
        "interpreter": st.sampled_from(["cpython 3.11", "cpython 3.12", "a", ""]),
    }
)


def key(facts, timeout=1.0, folder=None, secret=SECRET):
    """The key of a job that is all of *facts*."""
    job = Job(facts["code"], facts["language"], facts["env"], folder, timeout, facts["limits"])
    return key_of(job, template=facts["template"], interpreter=facts["interpreter"], secret=secret)


PLAIN = {"code": "x", "language": "python", "env": {"A": "1"}, "limits": Limits(), "template": "t", "interpreter": "i"}


@given(FACTS, FACTS)
def test_keys_are_equal_for_equal_runs_and_no_others(one, other):
    """Whatever the code sees makes the key, and no two ways to cut it up give the same."""
    assert (key(one) == key(other)) == (one == other)


@given(FACTS, FACTS, st.sampled_from(sorted(PLAIN)))
def test_any_one_difference_makes_another_key(one, other, name):
    """Code, language, environment, limits, template, interpreter: one that differs is enough."""
    assume(one[name] != other[name])
    assert key(one) != key({**one, name: other[name]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"code": "ab", "language": "c"}, {"code": "a", "language": "bc"}),
        ({"template": "ab", "interpreter": "c"}, {"template": "a", "interpreter": "bc"}),
        ({"template": "a", "interpreter": ""}, {"template": "", "interpreter": "a"}),
        ({"env": {"AB": "C"}}, {"env": {"A": "BC"}}),
        ({"env": {"A": "1B2"}}, {"env": {"A": "1", "B": "2"}}),
        ({"env": {"A": "1\nB=2"}}, {"env": {"A": "1", "B": "2"}}),
        ({"env": {"A": "B", "C": "D"}}, {"env": {"A": "D", "C": "B"}}),
        ({"env": {"A": ""}}, {"env": {}}),
        ({"code": "x "}, {"code": "x"}),
        ({"code": "é"}, {"code": "e\u0301"}),
        ({"limits": Limits(cpu_seconds=60)}, {"limits": Limits(cpu_seconds=60.5)}),
    ],
)
def test_the_same_letters_cut_up_otherwise_are_another_run(one, other):
    """What stands where is in the key, not only which letters there are."""
    assert key({**PLAIN, **one}) != key({**PLAIN, **other})


@given(FACTS, st.randoms(use_true_random=False), st.floats(0.1, 1e6))
def test_the_timeout_and_the_order_of_variables_do_not_matter(facts, dice, timeout):
    """A run with more time, or with its variables written in another order, is the same run."""
    names = list(facts["env"])
    dice.shuffle(names)
    assert key(facts) == key({**facts, "env": {name: facts["env"][name] for name in names}}, timeout)


@pytest.mark.parametrize("limit", [each.name for each in fields(Limits)])
def test_every_limit_is_in_the_key(limit):
    """What fails with less may succeed with more."""
    more = replace(Limits(), **{limit: getattr(Limits(), limit) + 1})
    assert key(PLAIN) != key({**PLAIN, "limits": more})


def test_keys_of_another_secret_are_other_keys():
    """Without the sandbox's own secret nobody can try values until the key fits."""
    assert key(PLAIN) != key(PLAIN, secret=bytes([1]) * 32)


@given(FACTS)
def test_a_key_shows_nothing(facts):
    """It is a hash of a fixed length: no code, no name and no value stands in it."""
    long = {**facts, "code": facts["code"] + "the code itself", "env": {**facts["env"], "TOKEN": "a very secret value"}}
    made = key(long)
    assert (type(made), len(made)) == (bytes, 32)
    assert not any(each in made for each in (b"code itself", b"TOKEN", b"secret value"))


# Working directories.

FILES = st.dictionaries(
    st.sampled_from(["a", "b", "a.txt", "é", "in/a", "in/b", "in/deep/a", "out/a"]),
    st.one_of(
        st.binary(max_size=4),
        st.sampled_from(["a", "b", "nowhere"]).map(lambda target: ("link", target)),
        st.just(("folder",)),
        st.binary(max_size=2).map(lambda content: ("program", content)),
    ),
    max_size=4,
)


def plant(folder, tree):
    """Make *folder* anew, with that in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, what in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match what:
            case ("link", target):
                path.symlink_to(target)
            case ("folder",):
                path.mkdir()
            case ("program", content):
                path.write_bytes(content)
                path.chmod(0o755)
            case content:
                path.write_bytes(content)


@given(FILES, FILES)
def test_the_contents_of_the_directory_make_the_key(tmp_path_factory, one, other):
    """Equal trees in the same place are the same run; any other name, content, kind, link or permission is not."""
    folder = tmp_path_factory.getbasetemp() / "tree"
    plant(folder, one)
    first = key(PLAIN, folder=folder)
    plant(folder, other)
    second = key(PLAIN, folder=folder)
    assume(None not in (first, second))  # a link to a directory: see below
    assert (first == second) == (one == other)


TREES = [
    {},
    {"a": b""},
    {"b": b""},
    {"a": b"x"},
    {"a": ("program", b"x")},
    {"a": ("folder",)},
    {"a": ("link", "b")},
    {"a": ("link", "c")},
    {"in/a": b"x"},
    {"in/b": b"x"},
    {"a": b"b", "c": b"d"},
    {"a": b"d", "c": b"b"},
    {"ab": b"d", "c": b""},
    {"a": ("link", "b"), "b": b"x"},
    {"a": b"x", "b": b"x"},
]


def test_each_of_these_directories_is_another_run(tmp_path):
    """A name, a content, a permission, a kind, where a link leads: each is enough."""
    keys = set()
    for tree in TREES:
        plant(tmp_path / "work", tree)
        keys.add(key(PLAIN, folder=tmp_path / "work"))
    assert len(keys) == len(TREES)


def test_the_place_itself_is_in_the_key(tmp_path):
    """The same contents elsewhere are another run, as code can see where it is; so is no directory at all."""
    plant(tmp_path / "one", {"a": b"x"})
    plant(tmp_path / "two", {"a": b"x"})
    keys = {key(PLAIN), key(PLAIN, folder=tmp_path / "one"), key(PLAIN, folder=tmp_path / "two")}
    assert len(keys) == 3


def test_when_files_were_changed_does_not_matter(tmp_path):
    """Only what is in them does."""
    plant(tmp_path / "one", {"a": b"x"})
    first = key(PLAIN, folder=tmp_path / "one")
    os.utime(tmp_path / "one" / "a", (1, 1))
    assert key(PLAIN, folder=tmp_path / "one") == first


def test_every_byte_of_a_large_file_counts(tmp_path):
    """One that differs in the middle, beyond what is read at once, makes another key."""
    content = bytearray(3 * 1024 * 1024 + 1)
    (tmp_path / "large").write_bytes(content)
    first = key(PLAIN, folder=tmp_path)
    content[2 * 1024 * 1024 + 7] = 1
    (tmp_path / "large").write_bytes(content)
    assert key(PLAIN, folder=tmp_path) != first


@pytest.mark.parametrize("inside", [True, False])
def test_what_a_link_leads_to_counts(tmp_path, inside):
    """Code reads through a link, so a change behind it makes another run, in the directory or outside."""
    folder, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    plant(folder, {})
    plant(elsewhere, {})
    target = (folder if inside else elsewhere) / "data"
    target.write_text("1")
    (folder / "link").symlink_to(target)
    first = key(PLAIN, folder=folder)
    target.write_text("2")
    assert key(PLAIN, folder=folder) != first


def test_a_link_to_a_directory_makes_a_run_that_is_like_no_other(sandbox, executor, tmp_path):
    """What is behind it may change unseen, so such a run is neither answered from the cache nor kept."""
    folder, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    plant(folder, {"a": b"x"})
    plant(elsewhere, {})
    sandbox.run_code("x", working_dir=folder)
    assert sandbox.run_code("x", working_dir=folder).cached
    (folder / "link").symlink_to(elsewhere)
    for _ in range(2):
        assert not sandbox.run_code("x", working_dir=folder).cached
    assert sandbox.cache.stats()["cache"]["size"] == 1


def test_links_in_circles_come_to_an_end(tmp_path):
    """A link to itself, to one that leads back, and to nowhere are known by where they lead."""
    keys = set()
    for name, target in {"self": "self", "there": "back", "back": "there", "lost": "nowhere"}.items():
        (tmp_path / name).symlink_to(target)
        keys.add(key(PLAIN, folder=tmp_path))
    assert len(keys) == 4
    for target in (".", ".."):
        (tmp_path / "around").symlink_to(target)
        assert key(PLAIN, folder=tmp_path) is None
        (tmp_path / "around").unlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    """It is known by its name; nobody reads from it."""
    first = key(PLAIN, folder=tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert key(PLAIN, folder=tmp_path) != first


def test_a_name_that_is_no_text_does_no_harm(tmp_path):
    """File names are bytes."""
    first = key(PLAIN, folder=tmp_path)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("x")
    except OSError:
        pytest.skip("this file system wants text")
    assert key(PLAIN, folder=tmp_path) != first


# What can be read anywhere.


def test_no_value_can_be_read_from_anything_that_is_shown(sandbox, executor):
    """Neither the sandbox, nor what it has or holds, nor any statistics, shows a value of the environment."""
    secret = "hunter2 is what nobody may see"
    sandbox.update_env({"A": secret})
    executor.ends = lambda job: Execution(0, "said", "", 0.1)
    result = sandbox.run_code("x", env={"B": secret})
    shown = [sandbox, result, sandbox.cache, sandbox._runner, sandbox._runner.cache, sandbox._settings]
    shown += [executor.jobs[0], sandbox._runner.cache.values(), [*sandbox._runner.cache.shelf.rows.items()]]
    for each in shown:
        assert secret not in repr(each), type(each)
    assert secret not in json.dumps([sandbox.cache.stats(), sandbox.cache.clear()])


def test_the_cache_holds_neither_code_nor_environment(sandbox, executor):
    """Once a run is over, only its result is kept: no value can be found from the cache."""
    sandbox.run_code("x" * 1000, env={"A": "hunter2" * 100})
    executor.jobs.clear()
    executor.runs.clear()
    todo, seen = [sandbox._runner.cache.shelf, sandbox._runner.cache.flights], {}
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type) or callable(each) or type(each).__name__ == "module":
            continue
        seen[id(each)] = each
        assert not (isinstance(each, str) and ("hunter2" in each)), "a value is kept"
        todo += gc.get_referents(each)
    assert len(seen) > 5


def test_another_build_of_the_interpreter_is_another_run(sandbox, executor):
    """After an update of the interpreter, old results are not given any more."""
    sandbox.run_code("x")
    executor.known = {**executor.known, "python": "scripted 1.1"}
    assert not sandbox.run_code("x").cached
    executor.known = {**executor.known, "python": "scripted 1.0"}
    assert sandbox.run_code("x").cached


def test_a_directory_that_the_code_changes_is_another_one(sandbox, executor, tmp_path):
    """The files of the moment count: a change between two runs runs the code again."""
    sandbox.run_code("x", working_dir=tmp_path)
    assert sandbox.run_code("x", working_dir=tmp_path).cached
    (tmp_path / "new").write_text("")
    assert not sandbox.run_code("x", working_dir=tmp_path).cached
    (tmp_path / "new").unlink()
    assert sandbox.run_code("x", working_dir=tmp_path).cached


def test_a_file_that_cannot_be_read_is_said(sandbox, executor, tmp_path, monkeypatch):
    """Without knowing what the code would see, nothing is run or answered; without the cache nobody looks."""
    (tmp_path / "a").write_text("x")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pyresilience.sandbox.key._file", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        sandbox.run_code("x", working_dir=tmp_path)
    assert executor.jobs == []
    assert sandbox.run_code("x", working_dir=tmp_path, use_cache=False).success
