"""Keys, against the bound arguments spelt out with their types."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from inspect import signature

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pyresilience import CacheConfig, resilient

TENANT = ContextVar("tenant")
LOCALE = ContextVar("locale", default="en")

FAMILIES = [
    [0, False, 0.0, -0.0, 0j, None, "", "0", b"", (), [], set(), {}],
    [1, True, 1.0, 1j, "1", b"1", bytearray(b"1"), 1 << 70, "a" * 600],
    [(1,), (True,), [1], [1.0], ["1"], {1}, frozenset({1}), [[1]], {"1": 1}, list(range(400)), [*range(399), 399.0]],
    [{"a": 1}, {"a": True}, {"b": 1, "a": 1}, {"a": 1, "b": 1}, {"a": [1]}, {"a": (1,)}, {"a": {"b": {1}}}],
]
"""Values that could be taken for each other."""

VALUES = st.sampled_from(FAMILIES).flatmap(st.sampled_from)

NAMES = ("a", "b", "c", "d")


def spell_out(value):
    """A value as text that tells its type, and those of all that is in it; what has no order is sorted."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return f"{kind}{sorted(f'{spell_out(key)}: {spell_out(each)}' for key, each in value.items())}"
    if isinstance(value, (set, frozenset)):
        return f"{kind}{sorted(map(spell_out, value))}"
    if isinstance(value, (list, tuple)):
        return f"{kind}{[*map(spell_out, value)]}"
    return f"{kind} {value!r}"


@st.composite
def functions(draw):
    """A function of up to four parameters of any kind, with or without defaults."""
    count = draw(st.integers(0, 4))
    kinds = sorted(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    defaults = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    if any(kind < 2 for kind in kinds):  # a positional parameter without a default does not follow one that has one
        begin = draw(st.integers(0, count))
        defaults = [place >= begin if kind < 2 else own for place, (kind, own) in enumerate(zip(kinds, defaults))]
    named = [f"{name}={place}" if own else name for place, (name, own) in enumerate(zip(NAMES, defaults))]
    only, plain, later = ([each for each, own in zip(named, kinds) if own == kind] for kind in range(3))
    star = ["*rest"] if draw(st.booleans()) else ["*"] if later else []
    more = ["**more"] if draw(st.booleans()) else []
    text = ", ".join([*only, *(["/"] if only else []), *plain, *star, *later, *more])
    return eval(f"lambda {text}: None")


@st.composite
def calls(draw, function):
    """A call of *function* that fits it, spelt in any way."""
    args, kwargs, by_name = [], {}, False
    for each in signature(function).parameters.values():
        if each.kind is each.VAR_POSITIONAL:
            args += [] if by_name else draw(st.lists(VALUES, max_size=2))
        elif each.kind is each.VAR_KEYWORD:
            kwargs |= draw(st.dictionaries(st.sampled_from(["a", "x"]), VALUES, max_size=3))
        elif each.default is not each.empty and draw(st.booleans()):
            by_name = True
        elif each.kind is each.KEYWORD_ONLY or (
            each.kind is not each.POSITIONAL_ONLY and (by_name or draw(st.booleans()))
        ):
            by_name = True
            kwargs[each.name] = draw(VALUES)
        elif not by_name:
            args.append(draw(VALUES))
    return tuple(args), dict(draw(st.permutations([*kwargs.items()])))


def fits(function, call):
    try:
        signature(function).bind(*call[0], **call[1])
    except TypeError:
        return False
    return True


@st.composite
def spellings(draw, function, call):
    """Nearly the same call: spelt with all defaults, and perhaps with one value that could be taken for another."""
    bound = signature(function).bind(*call[0], **call[1])
    bound.apply_defaults()
    args, kwargs = [*bound.args], {**bound.kwargs}
    places = [(args, place) for place in range(len(args))] + [(kwargs, name) for name in kwargs]
    if places and draw(st.booleans()):
        holder, place = draw(st.sampled_from(places))
        values = [family for family in FAMILIES if any(spell_out(each) == spell_out(holder[place]) for each in family)]
        holder[place] = draw(st.sampled_from(values[0]) if values else VALUES)
    return tuple(args), kwargs


@st.composite
def programs(draw):
    """A function, what counts of its arguments and beside them, and two calls in their surroundings."""
    function = draw(functions())
    parameters = signature(function).parameters
    names = [*parameters, *(["x", "stray"] if "more" in parameters else [])]
    ignore = draw(st.lists(st.sampled_from(names), max_size=2, unique=True)) if names else []
    vary = draw(st.lists(st.sampled_from(["tenant", "locale", "current"]), max_size=2, unique=True))
    version = draw(st.sampled_from(["", "", "1"]))
    one = draw(calls(function).filter(lambda call: fits(function, call)))
    other = draw(st.one_of(st.just(one), calls(function).filter(lambda call: fits(function, call))))
    if draw(st.booleans()):
        other = draw(spellings(function, one))
    around = st.fixed_dictionaries(
        {"current": st.sampled_from([1, True])}, optional={"tenant": VALUES, "locale": st.sampled_from(["en", "fr"])}
    )
    return function, ignore, vary, version, (one, draw(around)), (other, draw(around))


def counted(function, ignore, vary, call, around):
    """What the result of a call may depend on, in words."""
    bound = signature(function).bind(*call[0], **call[1])
    bound.apply_defaults()
    parts = {name: value for name, value in bound.arguments.items() if name not in ignore}
    if "more" in parts:
        strays = {*ignore} - {*signature(function).parameters}
        parts["more"] = {name: value for name, value in parts["more"].items() if name not in strays}
    surroundings = {"tenant": "(unset)", "locale": "en", **around}
    return spell_out(parts) + spell_out({name: spell_out(surroundings[name]) for name in vary})


def within(around, function, *args, **kwargs):
    """Call *function* in surroundings of its own."""
    context = copy_context()
    for variable in (TENANT, LOCALE):
        if variable.name in around:
            context.run(variable.set, around[variable.name])
    return context.run(function, *args, **kwargs)


@settings(derandomize=True, max_examples=800)
@given(programs())
def test_two_calls_share_a_result_if_what_counts_is_the_same(program):
    """Keys are equal, and the second call is a hit, if and only if all that counts is equal, types included."""
    function, ignore, vary, version, *pair = program
    current, runs = [None], []

    def plain(*args, **kwargs):
        runs.append((args, kwargs))

    plain.__signature__ = signature(function)
    variables = {"tenant": TENANT, "locale": LOCALE, "current": lambda: current[0]}
    config = CacheConfig(ignore=ignore, vary=[variables[each] for each in vary], version=version)
    same = len({counted(function, ignore, vary, *each) for each in pair}) == 1
    event(f"same: {same}")
    for each in (plain, function):
        f = resilient(cache=config)(each)
        keys, hits = [], []
        for (args, kwargs), around in pair:
            current[0] = around["current"]
            keys.append(within(around, f.cache.key, *args, **kwargs))
            within(around, f, *args, **kwargs)
            hits.append(f.cache_info().hits)
            assert within(around, f.cache.contains, *args, **kwargs)
        assert (keys[0] == keys[1]) is same
        assert hits == [0, 1 if same else 0]
    assert len(runs) == (1 if same else 2)


@settings(derandomize=True, max_examples=200)
@given(st.data(), functions(), st.sampled_from(["", "1", "2"]), st.sampled_from(["", "1", "2"]))
def test_versions_share_nothing(data, function, one, other):
    """The key of a call under one version is that under another if and only if they are the same version."""
    args, kwargs = data.draw(calls(function).filter(lambda call: fits(function, call)))
    keys = [resilient(cache=CacheConfig(version=each))(function).cache.key(*args, **kwargs) for each in (one, other)]
    assert (keys[0] == keys[1]) is (one == other)


SHAPES = [
    (lambda a: None, {}, lambda value: ((value,), {})),
    (lambda a, b=0: None, {}, lambda value: ((), {"a": value})),
    (lambda a, *rest: None, {}, lambda value: ((0, 1, value), {})),
    (lambda **more: None, {}, lambda value: ((), {"x": 1, "more": value})),
    (lambda a, b: None, {"ignore": ("b",)}, lambda value: ((value, object()), {})),
    (lambda a, /, **more: None, {"ignore": ("a",)}, lambda value: ((object(),), {"a": value})),
    (lambda a, **more: None, {"ignore": ("x",), "version": "1"}, lambda value: ((1,), {"x": object(), "y": [value]})),
]


def test_what_could_be_taken_for_each_other_is_told_apart():
    """Wherever it stands in a call, each value has the key of no other but those that are spelt out like it."""
    for function, options, call in SHAPES:
        f = resilient(cache=CacheConfig(**options))(function)
        for family in FAMILIES:
            keys = [(spell_out(each), f.cache.key(*call(each)[0], **call(each)[1])) for each in family]
            assert all((one[0] == other[0]) is (one[1] == other[1]) for one in keys for other in keys)
