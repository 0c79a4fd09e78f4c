"""The two hands of everything do the same thing."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap

import pytest

import pyresilience

HANDS = {"wrap", "_load", "_wait", "_enter", "_routed", "answer", "_run", "consult", "close"}
"""What a pair of hands is called."""

RENAMED = {"AsyncHandler": "Handler", "_async": "_blocking", "Awaitable": "Any", "asynchronous": "synchronous"}


def modules():
    for info in pkgutil.walk_packages(pyresilience.__path__, "pyresilience."):
        yield importlib.import_module(info.name)


def twins():
    """Every (sync, async) pair: `f` beside `f_async`, in a class or a module."""
    for module in modules():
        owners = [module, *(each for each in vars(module).values() if inspect.isclass(each))]
        for owner in owners:
            if inspect.isclass(owner) and owner.__module__ != module.__name__:
                continue
            for name, function in list(vars(owner).items()):
                twin = vars(owner).get(f"{name}_async")
                if name in HANDS and inspect.isfunction(function) and inspect.isfunction(twin):
                    yield pytest.param(function, twin, id=f"{module.__name__[13:]}.{function.__qualname__}")


class Plain(ast.NodeTransformer):
    """Makes synchronous code of asynchronous code."""

    def visit_AsyncFunctionDef(self, node):
        return self.visit_FunctionDef(ast.FunctionDef(**dict(ast.iter_fields(node))))

    def visit_Await(self, node):
        return self.visit(node.value)

    def visit_AsyncWith(self, node):
        return self.generic_visit(ast.With(items=node.items, body=node.body))

    def visit_FunctionDef(self, node):
        node.name = node.name.removesuffix("_async")
        node.returns = None
        for argument in [*node.args.args, *node.args.posonlyargs]:
            argument.annotation = None
        return self.generic_visit(node)

    def visit_Name(self, node):
        node.id = RENAMED.get(node.id, node.id).removesuffix("_async")
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        node.attr = node.attr.removesuffix("_async")
        return node

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            for old, new in RENAMED.items():
                node.value = node.value.replace(old, new)
        return node


def plain(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return ast.dump(Plain().visit(tree), annotate_fields=False)


@pytest.mark.parametrize(("sync", "asynchronous"), list(twins()))
def test_twins_differ_in_await_alone(sync, asynchronous):
    """Without `async`, `await` and the names of the hands, both hands are the same code, to the letter."""
    assert plain(sync) == plain(asynchronous)


def test_every_stage_and_the_door_have_twins():
    """Whatever has a synchronous hand has an asynchronous one, and is compared above."""
    owners = {param.values[0].__qualname__.rpartition(".")[0] for param in twins()}
    assert owners >= {"Bulkhead", "Door", "Fallback", "Gate", "KeepSuccesses", "Report", "Retry", "Runner", "Timeout"}
    for module in modules():
        for owner in vars(module).values():
            if inspect.isclass(owner) and owner.__module__ == module.__name__ and "wrap" in vars(owner):
                assert "wrap_async" in vars(owner), owner


def test_the_hands_offer_the_same_names():
    """What a stage takes of one hand it finds in the other, with the same parameters."""
    from pyresilience import _async, _blocking

    for name in ("Signal", "elsewhere", "home", "pause", "sleep", "within"):
        one, other = getattr(_blocking, name), getattr(_async, name)
        if inspect.isfunction(one):
            assert list(inspect.signature(one).parameters) == list(inspect.signature(other).parameters), name
    for method in ("set", "wait"):
        one, other = getattr(_blocking.Signal, method), getattr(_async.Signal, method)
        assert list(inspect.signature(one).parameters) == list(inspect.signature(other).parameters), method
