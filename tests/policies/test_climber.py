"""The hill climber, on hills that are known."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.climber import LEAST, MOST, PATIENCE, PERIOD, STEP, HillClimber

ENTRIES = 100
USES = ENTRIES * PERIOD


def period(climber, ratio):
    """Let a period pass in which that share of the uses are hits."""
    hits = min(max(round(ratio * USES), 0), USES - 1)
    for place in range(USES - hits):
        climber.climb(0 if place else hits, ENTRIES)


def walk(hill, periods, climber=None, dice=None):
    """The shares it tries where *hill* tells the hit ratio of a share; with *dice*, as uncertain as real ones are."""
    climber, shares = climber or HillClimber(), []
    for _ in range(periods):
        shares.append(climber.share)
        chance = dice.gauss(0, 0.5 / USES**0.5) if dice else 0
        period(climber, hill(climber.share) + chance)
    return shares


def late(shares):
    """The mean of the second half."""
    half = shares[len(shares) // 2 :]
    return sum(half) / len(half)


HILLS = {
    "the smaller the better": (lambda share: 0.5 - 0.4 * share, 0, 0.1),
    "the larger the better": (lambda share: 0.1 + 0.6 * share, 0.6, MOST),
    "best in the middle": (lambda share: 0.6 - abs(share - 0.4), 0.25, 0.55),
    "all the same": (lambda share: 0.5, 0, 0.1),
}


@pytest.mark.parametrize(("hill", "low", "high"), HILLS.values(), ids=HILLS)
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_it_finds_the_top(hill, low, high, seed):
    """After a while the share is on average where the hit ratio is high, with and without chance."""
    assert low <= late(walk(hill, 80, dice=None if seed is None else Random(seed))) <= high


def test_it_climbs_another_hill_when_the_load_changes():
    """What was best is left when it is no longer, in both directions."""
    climber = HillClimber()
    for hill in (lambda share: 0.5 - 0.4 * share, lambda share: 0.1 + 0.6 * share, lambda share: 0.5 - 0.4 * share):
        share = late(walk(hill, 40, climber))
        assert (share > 0.5) is (hill(MOST) > hill(LEAST))


def test_it_tries_again_after_a_while():
    """Nothing happened, and yet a larger share is tried once in so many periods."""
    shares = walk(lambda share: 0.5, 4 * PATIENCE)
    assert 3 <= sum(share > LEAST for share in shares) <= 6
    assert max(shares) == pytest.approx(LEAST + STEP)


def test_a_load_that_changes_by_itself_is_not_taken_for_a_success():
    """Where the hit ratio goes up and down whatever it does, the share stays small."""
    climber, shares = HillClimber(), []
    for place in range(120):
        shares.append(climber.share)
        period(climber, (0.55, 0.54, 0.3)[place % 3])
    assert late(shares) < 0.1


@given(st.lists(st.floats(0, 1), max_size=25))
def test_the_share_stays_within_its_bounds(ratios):
    """Whatever the hit ratios are."""
    climber = HillClimber()
    for ratio in ratios:
        period(climber, ratio)
        assert LEAST <= climber.share <= MOST


def test_it_waits_for_a_whole_period():
    """A step is taken after so many uses for each entry, and not before."""
    climber = HillClimber()
    climber.climb(USES - 2, ENTRIES)
    assert climber.share == LEAST
    climber.climb(0, ENTRIES)
    assert climber.share == LEAST + STEP
