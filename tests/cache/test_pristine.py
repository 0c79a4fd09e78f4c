"""Errors that are kept: copies that are the same error, and keep no frame alive."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import io
import json
import socket
import ssl
import subprocess
import sys
import traceback
import urllib.error
import weakref
from functools import partial
from pathlib import Path

import pytest

from pyresilience import CacheConfig
from pyresilience.cache import pristine as module
from pyresilience.cache.pristine import DEEP, pristine


class Local:
    """Something in a frame, to be seen dying."""


def raised(make, *, cause=None):
    """An error with a traceback, a context with a traceback, and a watch on a local of the raising frame."""
    local = Local()
    watch = weakref.ref(local)
    error = None
    try:
        try:
            raise ValueError("the context")
        except ValueError:
            if cause is not None:
                raise make() from cause
            raise make()
    except Exception as caught:
        error = caught
    assert error.__traceback__ is not None
    assert error.__context__ is not None
    try:
        return error, watch
    finally:
        del error, cause


def died(watch):
    """Whether nothing holds it any more."""
    gc.collect()
    return watch() is None


class Required(Exception):
    """`copy.copy` calls it with the message alone, and fails."""

    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class KeywordOnly(Exception):
    def __init__(self, *, status, body=b""):
        super().__init__(status)
        self.status, self.body = status, body


class Slotted(Exception):
    __slots__ = ("__secret", "empty", "retry_after")

    def __init__(self, retry_after):
        self.retry_after, self.__secret = retry_after, "s"

    def __str__(self):
        return f"{self.retry_after} {self.__secret}"


class Made(Exception):
    """Its `__new__` takes what is not in its arguments."""

    def __new__(cls, *, token):
        self = super().__new__(cls, "made")
        self.token = token
        return self

    def __init__(self, **kwargs):
        pass


class Unmakable(Exception):
    """Once it is made, no second one can be, by calling or copying or pickling."""

    born = False

    def __new__(cls, *args):
        if cls.born:
            raise RuntimeError("one is enough")
        return super().__new__(cls, *args)

    def __reduce__(self):
        raise TypeError("not to be copied")

    __reduce_ex__ = __copy__ = __deepcopy__ = __reduce__


class Guarded(Exception):
    """Reading or writing an attribute that is not a plain one fails."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __setattr__(self, name, value):
        raise RuntimeError(name)

    args = __dict__ = __cause__ = __notes__ = property()


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Mixin:
    """Has a `__dict__` of its own to offer, and no use for ours."""

    def __new__(cls, *args):
        raise RuntimeError("a mixin's own")


class Mixed(KeyError, OSError):
    """Made by `OSError`, though `KeyError` stands first."""


def decoded():
    try:
        b"caf\xff".decode()
    except UnicodeDecodeError as error:
        return error


def encoded():
    try:
        "caf\xff".encode("ascii")
    except UnicodeEncodeError as error:
        return error


def compiled():
    try:
        compile("a b", "page.py", "exec")
    except SyntaxError as error:
        return error


def parsed():
    try:
        json.loads("{x")
    except json.JSONDecodeError as error:
        return error


def unnamed():
    try:
        return (1).imaginary
    except AttributeError as error:
        return error


def opened():
    try:
        Path("no such file").read_bytes()
    except OSError as error:
        return error


MAKERS = {
    "plain": lambda: ValueError("no", 1),
    "bare": ValueError,
    "required": lambda: Required(404, "not here"),
    "keyword only": lambda: KeywordOnly(status=500, body=b"x"),
    "slots": lambda: Slotted(3),
    "own __new__": lambda: Made(token="t"),
    "frozen dataclass": lambda: Frozen(7),
    "two bases": lambda: Mixed(2, "none"),
    "KeyError": lambda: KeyError("k"),
    "AttributeError": unnamed,
    "ImportError": lambda: ImportError("no", name="shop", path="shop.py"),
    "SyntaxError": compiled,
    "StopIteration": lambda: StopIteration(5),
    "UnicodeDecodeError": decoded,
    "UnicodeEncodeError": encoded,
    "JSONDecodeError": parsed,
    "FileNotFoundError": opened,
    "OSError": lambda: OSError("just this"),
    "OSError of two files": lambda: OSError(18, "Cross-device link", "a", None, "b"),
    "BlockingIOError": lambda: BlockingIOError(11, "later", 5),
    "TimeoutError": lambda: TimeoutError(110, "late"),
    "IncompleteReadError": lambda: asyncio.IncompleteReadError(b"ab", 3),
    "LimitOverrunError": lambda: asyncio.LimitOverrunError("long", 9),
    "InvalidStateError": lambda: asyncio.InvalidStateError("set"),
    "gaierror": lambda: socket.gaierror(socket.EAI_NONAME, "unknown"),
    "SSLError": lambda: ssl.SSLError(1, "bad record"),
    "SSLCertVerificationError": lambda: ssl.SSLCertVerificationError(1, "expired"),
    "HTTPError": lambda: urllib.error.HTTPError("http://shop", 503, "busy", {"Retry-After": "1"}, io.BytesIO()),
    "CalledProcessError": lambda: subprocess.CalledProcessError(2, ["ls"], output=b"x"),
}


def public(error):
    """What can be read of an error by name, without what says where it was raised."""
    names = {*dir(error)} - {*dir(object)} - {"__traceback__", "__context__", "__cause__", "__weakref__", "__dict__"}
    found = {}
    for name in names:
        try:
            value = getattr(error, name)
        except Exception as odd:
            found[name] = type(odd)
        else:
            if not callable(value):
                found[name] = value
    return found


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_copy_is_the_same_error(make):
    """Another object of the same type, arguments, attributes, text, and nothing of where it was raised."""
    error, _ = raised(make)
    fresh = pristine(error)
    assert type(fresh) is type(error)
    assert fresh is not error
    assert public(fresh) == public(error)
    assert (str(fresh), repr(fresh)) == (str(error), repr(error))
    assert (fresh.__traceback__, fresh.__context__, fresh.__cause__) == (None, None, None)
    assert error.__traceback__ is not None


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_copy_pins_no_frame(make):
    """When the error that was raised has gone, so have the locals of the frames it went through."""
    error, watch = raised(make)
    fresh = pristine(error)
    assert not died(watch)
    del error
    assert died(watch)
    assert type(fresh) is not None


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_copy_can_be_raised_and_copied_again(make):
    """What is kept serves any number of calls, and stays as it was."""
    kept = pristine(raised(make)[0])
    for _ in range(3):
        error, watch = raised(lambda: pristine(kept))
        assert type(error) is type(kept)
        del error
        assert died(watch)
    assert kept.__traceback__ is None


def test_no_code_of_the_class_runs():
    """A class that refuses to be made anew, read or written by its own methods is copied all the same."""
    error = Unmakable(1)
    error.why = ["x"]
    Unmakable.born = True
    with pytest.raises(TypeError):
        copy.copy(error)
    fresh = pristine(error)
    assert (type(fresh), fresh.args, fresh.why) == (Unmakable, (1,), ["x"])
    assert type(pristine(Guarded(1, 2))) is Guarded
    assert BaseException.__repr__(pristine(Guarded(1, 2))) == "Guarded(1, 2)"
    mixed = type("AlsoMixed", (Mixin, OSError), {})
    error = OSError.__new__(mixed, 2, "none")
    fresh = pristine(error)
    fresh.new = True
    assert type(fresh) is mixed
    assert str(fresh) == str(error) == "[Errno 2] none"
    assert not hasattr(error, "new")


def test_nothing_that_can_be_changed_is_shared():
    """Attributes that are set, and notes that are added, belong to one copy alone."""
    error = Required(1, "x")
    error.add_note("first")
    error.rows = [1]
    one, other = pristine(error), pristine(error)
    one.code = 2
    one.new = True
    one.rows.append(2)
    one.add_note("second")
    assert (other.code, other.rows, hasattr(other, "new")) == (1, [1], False)
    assert (error.__notes__, one.__notes__, other.__notes__) == (["first"], ["first", "second"], ["first"])


def test_values_are_shared():
    """What an attribute holds is not copied any deeper: a response is the response."""
    error = KeywordOnly(status=1)
    error.response = Local()
    assert pristine(error).response is error.response


def test_causes_are_copied():
    """Each cause in the chain is a copy without a traceback; that nothing else is to be told stays so."""
    cause, watch = raised(lambda: Required(1, "x"), cause=raised(opened)[0])
    error, _ = raised(lambda: KeyError("k"), cause=cause)
    fresh = pristine(error)
    assert fresh.__suppress_context__
    assert public(fresh.__cause__) == public(cause)
    assert type(fresh.__cause__.__cause__) is FileNotFoundError
    chain = [fresh, fresh.__cause__, fresh.__cause__.__cause__]
    assert all(each.__traceback__ is None and each.__context__ is None for each in chain)
    assert fresh.__cause__ is not cause
    del error, cause, chain
    assert died(watch)


def test_whether_a_context_is_told_stays():
    """`raise ... from None` is still known, and so is a plain `raise`."""
    try:
        raise KeyError from None
    except KeyError as error:
        assert pristine(error).__suppress_context__ is True
    assert pristine(raised(KeyError)[0]).__suppress_context__ is False


def test_causes_may_go_round():
    """Errors that cause each other, and themselves, are copied once each."""
    one, other, itself = ValueError(1), ValueError(2), ValueError(3)
    one.__cause__, other.__cause__, itself.__cause__ = other, one, itself
    fresh = pristine(one)
    assert fresh.__cause__.args == (2,)
    assert fresh.__cause__.__cause__ is fresh
    itself = pristine(itself)
    assert itself.__cause__ is itself


def test_a_long_chain_ends():
    """Of an endless chain of causes the first few dozen are kept."""
    error = None
    for number in range(50_000):
        error, last = ValueError(number), error
        error.__cause__ = last
    fresh, length = pristine(error), 0
    while fresh.__cause__ is not None:
        fresh, length = fresh.__cause__, length + 1
    assert length == DEEP
    while error is not None:  # so that they do not die one within the other
        last, error.__cause__, error = error, None, error.__cause__


class Failures(ExceptionGroup):
    """A group that is made in its own way."""

    def __new__(cls, errors, code):
        self = super().__new__(cls, f"code {code}", errors)
        self.code = code
        return self

    def derive(self, errors):
        return Failures(errors, self.code)


def test_members_of_a_group_are_copied():
    """A group is one of copies, at every depth, and in its arguments too."""
    first, watch = raised(lambda: Required(1, "x"))
    inner, _ = raised(partial(ExceptionGroup, "inner", [first, raised(opened)[0]]))
    error, _ = raised(partial(Failures, [inner, first], 7))
    error.add_note("all of them")
    fresh = pristine(error)
    assert (type(fresh), fresh.message, fresh.code, fresh.args[1]) == (Failures, "code 7", 7, 7)
    assert fresh.__notes__ == ["all of them"]
    assert public(fresh.exceptions[1]) == public(first)
    assert fresh.exceptions[1] is fresh.exceptions[0].exceptions[0]
    assert fresh.args[0][1] is fresh.exceptions[1]
    assert type(fresh.exceptions[0].exceptions[1]) is FileNotFoundError
    assert fresh.split(Required)[0].exceptions[1].__traceback__ is None
    del error, inner, first
    assert died(watch)


def test_a_group_that_causes_its_member():
    """A member whose cause is the group has the copy of the group as its cause."""
    member = ValueError(1)
    group = ExceptionGroup("g", [member, member])
    member.__cause__ = group
    fresh = pristine(group)
    assert fresh.exceptions[0].__cause__ is fresh
    assert fresh.exceptions[0] is fresh.exceptions[1]


def test_errors_among_arguments_and_attributes_are_copied():
    """Clients wrap what happened below: the wrapped errors keep no frame alive either."""
    inner, watch = raised(opened)
    error = urllib.error.URLError(inner)
    error.last, error.all, error.by_name = inner, [inner, 1], {"a": inner}
    error.info = (type(inner), inner, inner.__traceback__)
    error.traceback, error.frame = inner.__traceback__, inner.__traceback__.tb_frame
    fresh = pristine(error)
    last = fresh.last
    assert type(last) is FileNotFoundError
    assert last is not inner
    assert last.__traceback__ is None
    assert (fresh.args, fresh.reason, fresh.all, fresh.by_name) == ((last,), last, [last, 1], {"a": last})
    assert fresh.info == (FileNotFoundError, last, None)
    assert (fresh.traceback, fresh.frame) == (None, None)
    assert error.info[2] is error.traceback is not None
    del error, inner
    assert died(watch)


def test_what_stands_for_another_object_is_not_asked():
    """A proxy among the attributes is shared, and not even asked for its class."""

    class Proxy:
        @property
        def __class__(self):
            raise RuntimeError("there is no request")

    error = ValueError(1)
    error.request = Proxy()
    fresh = pristine(error)
    assert fresh is not error
    assert type(fresh.request) is Proxy


def test_what_cannot_be_copied_is_returned_itself():
    """A group within a thousand groups is given back as it is, without what it was raised from."""
    error, watch = raised(lambda: ValueError(1))
    for _ in range(sys.getrecursionlimit()):
        error = ExceptionGroup("g", [error])
    error, outer = raised(lambda again=error: again)
    fresh = pristine(error)
    assert fresh is error
    assert (fresh.__traceback__, fresh.__context__) == (None, None)
    inner = error
    del fresh, error
    assert died(outer)
    assert not died(watch)
    while isinstance(inner, ExceptionGroup):
        inner = inner.exceptions[0]


def test_an_error_within_that_cannot_be_copied(monkeypatch):
    """Where a class of an extension module does not let itself be made, that error alone is taken as it is."""

    def made_by(kind):
        if kind is Required:
            raise TypeError("cannot create instances")
        return BaseException.__new__

    monkeypatch.setattr(module, "_maker_of", made_by)
    cause, watch = raised(lambda: Required(1, "x"))
    error, _ = raised(lambda: KeyError("k"), cause=cause)
    fresh = pristine(error)
    assert fresh is not error
    assert fresh.__cause__ is cause
    assert (cause.__traceback__, cause.__context__, cause.code) == (None, None, 1)
    del error
    assert died(watch)


def test_a_kept_error_is_raised_as_a_copy_each_time(colour):
    """Callers get errors of their own, equal to the first, and the run that failed leaves no frame behind."""
    watches = []

    def body(user):
        local = Local()
        watches.append(weakref.ref(local))
        raise Required(404, user)

    find = colour.decorate(body, cache=CacheConfig(cache_exceptions=(Required,)))
    first = colour.outcome(find, 1)
    others = [colour.outcome(find, 1) for _ in range(3)]
    assert len(watches) == 1
    assert len({id(each) for each in [first, *others]}) == 4
    assert {each.args for each in others} == {first.args}
    depths = {len(traceback.extract_tb(each.__traceback__)) for each in others}
    assert len(depths) == 1
    del first
    assert died(watches[0])
