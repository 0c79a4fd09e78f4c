"""Which errors a stage minds."""

import pytest

from pyresilience.policies.handling import Handling


@pytest.mark.parametrize(
    ("on", "ignore", "error", "minds"),
    [
        ((Exception,), (), ValueError(), True),
        ((LookupError,), (), KeyError(), True),
        ((KeyError,), (), LookupError(), False),
        ((), (), ValueError(), False),
        ((Exception,), (KeyError,), KeyError(), False),
        ((KeyError,), (LookupError,), KeyError(), False),
        (lambda error: "again" in str(error), (), ValueError("again"), True),
        (lambda error: "again" in str(error), (), ValueError("no"), False),
        (lambda error: True, (ValueError,), ValueError(), False),
    ],
)
def test_ignoring_wins(on, ignore, error, minds):
    """An error is minded if its class or the predicate says so, and it is not ignored."""
    assert Handling(on, ignore).minds(error) is minds


def test_a_predicate_is_not_asked_about_what_is_ignored():
    """The predicate sees only errors that nobody ignores."""
    seen = []
    Handling(seen.append, (KeyError,)).minds(KeyError())
    assert seen == []


@pytest.mark.parametrize(
    ("on", "named"),
    [((Exception,), False), ((OSError,), False), ((ConnectionError,), True), ((BrokenPipeError,), True)],
)
def test_a_family_is_named_by_itself_or_a_member(on, named):
    """An error is named when a class of its family is listed, not when one above the family is."""
    assert Handling(on).names(BrokenPipeError(), ConnectionError) is named


def test_another_member_of_the_family_does_not_name_it():
    """Listing one member of a family does not name its siblings."""
    assert not Handling((ConnectionResetError,)).names(BrokenPipeError(), ConnectionError)


def test_a_predicate_names_nothing():
    """A predicate cannot be known to mean a family."""
    assert not Handling(lambda error: True).names(BrokenPipeError(), ConnectionError)
