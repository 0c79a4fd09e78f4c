"""What is left out of a key, and what is in it beside the arguments."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import sys
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience import CacheConfig, CacheKeyError, ResultCache, resilient
from pyresilience.cache.keys import UNKEYED, KeyMaker, Scope, scope_of

TENANT = contextvars.ContextVar("tenant")
LOCALE = contextvars.ContextVar("locale", default="en")


def maker(function, *, scope=None, **settings):
    return KeyMaker(function, CacheConfig(**settings), scope)


def keyed(keys):
    """*keys* as a function of the call itself."""
    return lambda *args, **kwargs: keys.key(args, kwargs)


@pytest.fixture(autouse=True)
def _own_context():
    """No test leaves a value of a context variable behind."""
    before = TENANT.get(None), LOCALE.get()
    yield
    assert (TENANT.get(None), LOCALE.get()) == before


def within(values, function, *args, **kwargs):
    """Call *function* where the context variables have these values."""
    context = contextvars.copy_context()
    for variable, value in values.items():
        context.run(variable.set, value)
    return context.run(function, *args, **kwargs)


FUNCTIONS = [
    lambda a: None,
    lambda a, b=2: None,
    lambda a, /, b=2, *, c=3: None,
    lambda a, *rest: None,
    lambda a, b=2, *rest, c=3, **more: None,
    *([] if sys.version_info[:3] == (3, 13, 0) else [lambda a, /, **a_: None]),  # its `Signature.bind` takes a=1 for a
    lambda *rest, **more: None,
]
arguments = st.sampled_from([0, 1, 2, 3, "1", None, True, 1.0, (), [1]])
calls = st.tuples(st.lists(arguments, max_size=3), st.dictionaries(st.sampled_from("abcx"), arguments, max_size=3))


@given(st.sampled_from(FUNCTIONS), st.data())
def test_calls_have_one_key_if_what_counts_is_the_same(function, data):
    """Keys are equal exactly if the arguments that are not ignored, what they vary by and the version are."""
    signature = inspect.signature(function)
    kinds = [each.kind for each in signature.parameters.values()]
    names = [*signature.parameters, *(["x", "c"] if inspect.Parameter.VAR_KEYWORD in kinds else [])]
    ignore = data.draw(st.lists(st.sampled_from(names), max_size=2))
    states = data.draw(st.lists(st.tuples(calls, arguments, st.sampled_from(["", "1"])), min_size=2, max_size=2))
    varies = data.draw(st.booleans())
    variable = contextvars.ContextVar("variable")

    def model(args, kwargs, value, version):
        """All that counts, with the types of everything; None: the call does not fit."""
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        parts = {}
        for name, argument in bound.arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                strays = {*ignore} - {*signature.parameters}
                argument = sorted((key, repr(each)) for key, each in argument.items() if key not in strays)
            if name not in ignore:
                parts[name] = repr(argument)
        return parts, repr(value) if varies else None, version

    keys, models = [], []
    for (args, kwargs), value, version in states:
        vary = (variable,) if varies else ()
        each = maker(function, ignore=ignore, vary=vary, version=version)
        key = within({variable: value}, each.key, tuple(args), kwargs)
        keys.append(key)
        models.append(model(args, kwargs, value, version))
        assert (key is UNKEYED) == (models[-1] is None)
        hash(key)
    if None not in models:
        assert (keys[0] == keys[1]) == (models[0] == models[1])


def test_ignored_parameters_do_not_count():
    """However an ignored argument is given, the key is that of the others."""
    key = keyed(maker(lambda user, session=None, *, trace="": None, ignore=("session", "trace")))
    assert key(1) == key(1, object()) == key(user=1, session=[], trace=object()) == key(1, trace="b")
    assert key(1) != key(2)


def test_an_ignored_argument_may_be_anything():
    """It need not be hashable, and nothing holds it."""

    class Session:
        __hash__ = None

    session = Session()
    key = maker(lambda user, session: None, ignore=["session"]).key((1, session), {})
    watch = weakref.ref(session)
    del session
    gc.collect()
    assert watch() is None
    assert key == (1,)


def test_self_can_be_ignored():
    """A method whose result does not depend on the instance has one entry for all."""

    class Client:
        @resilient(cache=CacheConfig(ignore=("self",)))
        def get(self, path):
            return path

    assert Client().get("/") == Client().get("/") == "/"
    assert Client.get.cache_info()[:2] == (1, 1)


def test_keyword_arguments_without_a_parameter_can_be_ignored():
    """What lands in `**options` is ignored by its own name, and `*rest` and `**options` by theirs."""
    key = keyed(maker(lambda url, **options: None, ignore=("trace", "x-y")))
    assert key(1, trace=1) == key(1, **{"x-y": 2}) == key(1)
    assert key(1, trace=1, size=2) == key(1, size=2) != key(1)
    key = keyed(maker(lambda url, *rest, **options: None, ignore=("rest", "options")))
    assert key(1, 2, a=3) == key(1)
    key = keyed(maker(lambda url, *rest, **options: None, ignore=("rest",)))
    assert key(1, 2) == key(1) != key(1, a=3)


def test_the_callers_arguments_stay_whole():
    """The function gets what is ignored, too."""
    f = resilient(cache=CacheConfig(ignore=("trace",)))(lambda url, **options: options)
    options = {"trace": 1, "size": 2}
    assert f("/", **options) == options == {"trace": 1, "size": 2}


def test_a_positional_parameter_is_not_its_namesake():
    """`def f(a, /, **more)`: ignoring `a` is about the parameter."""
    key = keyed(maker(lambda a, /, **more: None, ignore=("a",)))
    assert key(1, b=3) == key(2, b=3)
    assert key(1, a=1) != key(1, a=2)


def test_a_function_may_have_nothing_that_counts():
    """With its only parameter ignored, all calls are one."""
    one = maker(lambda session: None, ignore=("session",))
    assert one.bare is False
    assert one.key((1,), {}) == one.key((), {"session": 2})
    assert one.key((), {}) is UNKEYED


def test_a_wrong_name_is_refused_at_decoration():
    """A name that is no parameter is told with the field, the function and its parameters."""

    def price(article, session=None):
        return None

    with pytest.raises(ValueError, match="ignore") as caught:
        resilient(cache=CacheConfig(ignore=("session", "sesion")))(price)
    message = str(caught.value)
    assert "CacheConfig" in message
    assert "'sesion'" in message
    assert "price(article, session)" in message


def test_a_shared_cache_ignores_in_each_function():
    """A cache that several functions share asks each of them for the parameter."""
    cache = ResultCache(CacheConfig(ignore=("session",)))
    f = resilient(cache=cache)(lambda user, session: user)
    assert f(1, "a") == f(1, "b") == 1
    assert cache.size == 1
    with pytest.raises(ValueError, match="session"):
        resilient(cache=cache)(lambda user: user)


def test_a_function_without_a_signature_ignores_nothing():
    """Where the parameters are not known, none can be ignored, and the error says so."""
    with pytest.raises(ValueError, match=r"ignore.*max"):
        maker(max, ignore=("key",))


def test_parameters_of_a_partial_can_be_ignored():
    """What a partial has bound by keyword is a parameter still."""
    key = keyed(maker(functools.partial(lambda user, session: None, session=1), ignore=("session",)))
    assert key(1) == key(1, session=2) != key(2)


def test_arguments_that_do_not_fit_have_no_key():
    """They go to the function, which says so itself, whatever is ignored or varied by."""
    asked = []
    one = maker(lambda a, b=1: None, ignore=("b",), vary=(lambda: asked.append(1),), version="2")
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"c": 1})):
        assert one.key(args, kwargs) is UNKEYED
    assert not asked


def test_values_of_context_variables_count(colour):
    """Each tenant has entries of its own; who has none has them apart from `None`."""
    runs = []

    def body(user):
        runs.append(TENANT.get("nobody"))
        return runs[-1]

    f = colour.decorate(body, cache=CacheConfig(vary=(TENANT,)))

    def everybody():
        return [within(values, colour.call, f, 1) for values in ({}, {TENANT: "a"}, {TENANT: "b"}, {TENANT: None})]

    assert everybody() == everybody() == runs == ["nobody", "a", "b", None]


async def test_tenants_do_not_wait_for_each_other(colour):
    """Callers that vary compute at once, each its own; those that do not share one run."""
    runs, go = [], colour.event()

    async def body(user):
        runs.append(TENANT.get())
        if len(runs) == 2:
            go.set()
        await go.wait()
        return runs

    f = colour.decorate(body, cache=CacheConfig(vary=(TENANT,)))

    def caller(tenant):
        async def call():
            token = TENANT.set(tenant)
            try:
                return await colour.go(f, 1)
            finally:
                TENANT.reset(token)

        return call

    await colour.gather(*[caller(each) for each in "aabb"])
    assert sorted(runs) == ["a", "b"]


async def test_the_control_surface_sees_the_callers_context(colour):
    """Forgetting a result forgets it for this tenant."""
    f = colour.decorate(lambda user: user, cache=CacheConfig(vary=(TENANT,)))
    token = TENANT.set("a")
    try:
        await colour.go(f, 1)
        TENANT.set("b")
        assert f.cache.invalidate(1) is False
        TENANT.set("a")
        assert f.cache.invalidate(1) is True
    finally:
        TENANT.reset(token)


def test_the_default_of_a_context_variable_is_its_value():
    """Unset with a default is the same as set to that; unset without one equals no value that can be set."""
    one = maker(lambda a: None, vary=(LOCALE,))
    assert one.key((1,), {}) == within({LOCALE: "en"}, one.key, (1,), {}) != within({LOCALE: "de"}, one.key, (1,), {})
    two = maker(lambda a: None, vary=(TENANT,))
    unset = two.key((1,), {})
    assert unset == two.key((1,), {})
    for value in (None, "", 0, False, (), "unset", object()):
        assert within({TENANT: value}, two.key, (1,), {}) != unset


def test_functions_are_asked_at_each_call():
    """What they return counts, typed and frozen like an argument."""
    answers = [1, True, 1.0, [1], (1,), {"a": [1]}, {"a": [2]}, "x" * 10_000, None]
    one = maker(lambda: None, vary=(lambda: answers[place],))
    keys = []
    for place in range(len(answers)):
        keys.append(one.key((), {}))
        assert one.key((), {}) == keys[-1]
    assert len(set(keys)) == len(answers)


def test_several_variables_stay_apart():
    """The first has not what the second has."""
    one = maker(lambda a: None, vary=(TENANT, LOCALE))
    assert within({TENANT: "x", LOCALE: "y"}, one.key, (1,), {}) != within(
        {TENANT: "y", LOCALE: "x"}, one.key, (1,), {}
    )


class Opaque:
    __hash__ = None

    def __repr__(self):
        return "SECRET"


@pytest.mark.parametrize("settings", [{}, {"key": lambda a: a}])
def test_what_varies_and_cannot_be_a_key_is_named(settings):
    """The error names the context variable, or the function by its place, and shows no value."""
    with pytest.raises(CacheKeyError) as caught:
        within({TENANT: Opaque()}, maker(lambda a: None, vary=(LOCALE, TENANT), **settings).key, (1,), {})
    assert "context variable 'tenant'" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(CacheKeyError) as caught:
        maker(lambda a: None, vary=(LOCALE, Opaque), version="1", **settings).key((1,), {})
    assert "what vary[1] returned" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_an_argument_is_still_named_beside_them():
    """With parameters ignored before it, the name is that of the argument that is wrong."""
    with pytest.raises(CacheKeyError, match="argument 'c'"):
        maker(lambda a, b, c: None, ignore=("a",), vary=(LOCALE,), version="1").key((1, 2, Opaque()), {})
    with pytest.raises(CacheKeyError, match="what key= returned"):
        maker(lambda a: None, key=lambda a: a, vary=(LOCALE,)).key((Opaque(),), {})


def test_bypass_is_for_what_varies_too():
    """Where such a value shall go past the cache, it does."""
    assert maker(lambda: None, vary=(Opaque,), on_unhashable="bypass").key((), {}) is UNKEYED


@pytest.mark.parametrize("kind", [ValueError, TypeError])
@pytest.mark.parametrize("settings", [{}, {"key": lambda a: a}, {"ignore": ("a",)}])
def test_errors_of_what_varies_are_raised(colour, settings, kind):
    """A function that fails fails the call: it is not cached under a wrong key, and nothing is wedged."""
    wrong = [True]

    def tenant():
        if wrong:
            raise kind("nobody is logged in")
        return "a"

    f = colour.decorate(lambda a: a, cache=CacheConfig(vary=(tenant,), **settings))
    error = colour.outcome(f, 1)
    assert type(error) is kind
    assert "nobody is logged in" in str(error)
    wrong.clear()
    assert colour.call(f, 1) == 1


def test_async_functions_do_not_vary():
    """A coroutine is no value: what would have to be awaited is refused at decoration."""

    async def tenant():
        return 1

    for each in (tenant, functools.partial(tenant)):
        with pytest.raises(TypeError, match=r"vary\[1\].*tenant"):
            resilient(cache=CacheConfig(vary=(TENANT, each)))(lambda: None)


def test_the_version_stands_in_every_key():
    """Two versions share no key, whatever the function and its other settings; nor do a version and none."""
    shapes = [
        (lambda a: None, {}),
        (lambda a, b=1: None, {}),
        (lambda a, b=1: None, {"ignore": ("b",)}),
        (lambda a: None, {"key": lambda a: a}),
        (lambda a: None, {"vary": (LOCALE,)}),
        (lambda *a: None, {}),
    ]
    for function, settings in shapes:
        for value in (1, "1", None, [1], "x" * 10_000):
            keys = {maker(function, version=each, **settings).key((value,), {}) for each in ("", "1", "2", "it's \\")}
            assert len(keys) == 4


def test_a_key_function_does_not_see_what_varies():
    """`key=` gets the arguments of the call; context and version are put beside what it makes."""
    one = maker(lambda a, b: None, key=lambda a, b: a, vary=(TENANT,), version="2")
    assert within({TENANT: 1}, one.key, (1, 2), {}) == within({TENANT: 1}, one.key, (1, 3), {})
    assert within({TENANT: 1}, one.key, (1, 2), {}) != within({TENANT: 2}, one.key, (1, 2), {})


@pytest.mark.parametrize("scope", [None, Scope("f")])
@pytest.mark.parametrize("settings", [{"ignore": ("a",)}, {"vary": (LOCALE,)}, {"version": "1"}])
def test_a_lone_argument_is_the_whole_key_only_if_nothing_else_counts(settings, scope):
    """`bare` says that the argument is the key: with any of these it is not."""
    assert maker(lambda a: None).bare is True
    one = maker(lambda a: None, scope=scope, **settings)
    assert one.bare is False
    assert one.key((1,), {}) != 1


def test_the_scope_stands_first():
    """In a shared cache an entry tells whose it is, whatever its key is made of."""
    scope = Scope("f")
    for settings in ({"ignore": ("a",)}, {"vary": (LOCALE,)}, {"version": "1"}, {"key": lambda a, b: a}):
        assert scope_of(maker(lambda a, b: None, scope=scope, **settings).key((1, 2), {})) is scope


def test_a_parameter_may_have_any_name():
    """No name that a function gives its parameters gets in the way of what reads the others."""
    names = ["bind", "readers", "version", "call", "strays", "args", "kwargs", "self", "_0", "config"]
    for name in names:
        function = eval(f"lambda {name}, other=5, **rest: None")
        one = maker(function, ignore=("other", "stray"), vary=(lambda: 7,), version="1")
        assert one.key((1,), {}) == one.key((), {name: 1, "other": 2, "stray": 3})


def test_the_difference_is_named():
    """Of two keys that differ in one part, the part is told: a parameter, a variable, or the version."""
    settings = {"ignore": ("skipped",), "vary": (TENANT, lambda: current[0])}
    current = [0]

    def function(a, skipped, *rest, b=1, **more):
        return None

    one, other = maker(function, version="1", **settings), maker(function, version="2", **settings)
    key = keyed(one)
    base = key(1, 2)
    assert one.difference(base, key(2, 2)) == "a"
    assert one.difference(base, key(1, 2, 3)) == "rest"
    assert one.difference(base, key(1, 2, b=[1])) == "b"
    assert one.difference(base, key(1, 2, c=1)) == "more"
    assert one.difference(base, within({TENANT: 1}, key, 1, 2)) == "tenant"
    current[0] = 1
    assert one.difference(base, key(1, 2)) == "vary[1]"
    current[0] = 0
    assert one.difference(base, keyed(other)(1, 2)) == "version"
    assert one.difference(base, key(1, 3)) is None
    assert one.difference(base, key(2, 2, b=2)) is None


@pytest.mark.parametrize("scope", [None, Scope("f")])
def test_one_part_has_no_name(scope):
    """Where there is nothing but the one thing, its name would say nothing."""
    for function, settings in ((lambda a: None, {}), (lambda a, b: None, {"key": lambda a, b: a})):
        one = maker(function, scope=scope, **settings)
        assert one.difference(one.key((1, 1), {}), one.key((2, 1), {})) is None
        two = maker(function, scope=scope, version="1", **settings)
        args = (1,) if not settings else (1, 1)
        changed = (2, *args[1:])
        assert two.difference(two.key(args, {}), two.key(changed, {})) == ("key" if settings else "a")
    one = maker(lambda a, b: None, scope=scope, ignore=("b",))
    assert one.difference(one.key((1, 1), {}), one.key((2, 1), {})) is None


def test_a_key_that_is_none_differs_in_nothing():
    """Calls that do not fit are not compared; parts that have no hash any more are, by the one they had."""

    class Fickle:
        well = True

        def __eq__(self, other):
            return self is other

        def __hash__(self):
            if not self.well:
                raise RuntimeError("no hash today")
            return 1

    one = maker(lambda a, b: None)
    assert one.difference(UNKEYED, one.key((1, 2), {})) is None
    fickle = Fickle()
    keys = [one.key((fickle, each), {}) for each in (1, 2)]
    assert one.difference(*keys) == "b"
    fickle.well = False
    assert one.difference(*keys) == "b"


def test_what_others_put_into_the_cache_is_not_compared():
    """Keys of other functions, and whatever was put there directly, differ in nothing that has a name."""
    scope, other = Scope("f"), Scope("g")
    one = maker(lambda a, b: None, scope=scope)
    key = one.key((1, 2), {})
    for strange in ("xy", 5, None, (), (scope,), (scope, 5), (other, (1, 3)), (1, 3), (scope, (1, 2, 3))):
        assert one.difference(key, strange) is None
        assert one.difference(strange, key) is None
    assert maker(lambda a, b: None).difference((1, 2), "13") is None


def test_nothing_is_read_where_nothing_varies():
    """The keys of who uses none of this are what they always were."""
    assert maker(lambda a: None).key((1,), {}) == 1
    assert maker(lambda a, b=2: None).key((1,), {}) == (1, 2)
    assert maker(lambda a, b=2: None, scope="s").key((1,), {}) == ("s", (1, 2))
    assert maker(lambda a, b: None, key=lambda a, b: b).key((1, "k"), {}) == "k"


def test_each_task_has_its_tenant():
    """Tasks of one event loop that set the variable have keys of their own."""
    f = resilient(cache=CacheConfig(vary=(TENANT,)))(lambda user: TENANT.get())

    async def request(tenant):
        TENANT.set(tenant)
        await asyncio.sleep(0)
        return f(1)

    async def serve():
        return await asyncio.gather(*[request(each) for each in "abab"])

    assert asyncio.run(serve()) == ["a", "b", "a", "b"]
    assert f.cache_info()[:2] == (2, 2)
