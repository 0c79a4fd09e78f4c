"""The agenda and the barriers alone, against lists that are looked through from end to end."""

from __future__ import annotations

import random
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience.cache.agenda import NOBODY, SLACK, Agenda
from pyresilience.cache.barriers import CLOSE, FEW, Barriers

KEYS = st.integers(0, 9)
LIVES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0, 30.0, inf])

AGENDA_STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, LIVES),
    st.tuples(st.sampled_from(["forget", "lengthen"]), KEYS, st.sampled_from([0.5, 3.0])),
    st.tuples(st.just("wait"), st.none(), st.sampled_from([0.0, 0.5, 1.0, 4.0, 40.0])),
    st.tuples(st.sampled_from(["take", "take", "take all"]), st.none(), st.none()),
)

AGENDA_STEPS = st.lists(AGENDA_STEP, max_size=15) | st.lists(AGENDA_STEP, min_size=53, max_size=80)


class Calendar:
    """Entries with their deadlines, an agenda that is kept as a shelf keeps it, and how many entries it has looked at."""

    def __init__(self):
        self.now = 0.0
        self.deadlines = {}
        self.most = self.looked_at = 0
        self.agenda = Agenda(self.lines, self.deadline_of)

    def lines(self):
        self.looked_at += len(self.deadlines)
        return [(until, key) for key, until in self.deadlines.items()]

    def deadline_of(self, key):
        self.looked_at += 1
        return self.deadlines.get(key)

    def put(self, key, life):
        until = self.deadlines[key] = self.now + life
        self.most = max(self.most, len(self.deadlines))
        if until < self.agenda.horizon:
            self.agenda.add(key, until)

    def lengthen(self, key, by):
        if key in self.deadlines:
            self.deadlines[key] += by

    def take(self):
        """Have one that is over, if any is, taken off; False: none is."""
        over = {key: until for key, until in self.deadlines.items() if until <= self.now}
        found = self.agenda.due(self.now)
        if not over:
            assert found is NOBODY
            return False
        assert over[found] == min(over.values())
        del self.deadlines[found]
        return True

    def take_if_asked(self):
        """As `take`, but only when the agenda wants to be asked, as a full shelf does."""
        return self.now >= self.agenda.soonest and self.take()

    def check(self):
        """It says in time when to ask, and takes no more room than its entries."""
        if self.now < self.agenda.soonest:
            assert all(until > self.now for until in self.deadlines.values())
        assert self.length <= 3 * self.most + SLACK + 1

    @property
    def length(self):
        """The lines on it."""
        return len(self.agenda._untils) + len(self.agenda._others)


@settings(derandomize=True, max_examples=400)
@given(AGENDA_STEPS)
def test_the_agenda_knows_who_is_over(steps):
    """Whatever comes, leaves and lives longer, exactly those are due that are over, in order; nobody is over before it says so."""
    calendar = Calendar()
    for what, key, amount in steps:
        if what == "put":
            calendar.put(key, amount)
        elif what == "forget":
            calendar.deadlines.pop(key, None)
        elif what == "lengthen":
            calendar.lengthen(key, amount)
        elif what == "wait":
            calendar.now += amount
        elif what == "take":
            calendar.take()
        else:
            while calendar.take_if_asked():
                pass
            assert all(until > calendar.now for until in calendar.deadlines.values())
        calendar.check()


WRITES = {
    "renewed": lambda step, dice: (step % 7, 1000.0 - step % 500),
    "sooner and sooner": lambda step, dice: (step % 300, 10_000.0 - step / 10),
    "any life": lambda step, dice: (dice.randrange(300), dice.choice([0.1, 1.0, 20.0, 300.0, inf])),
    "forgotten": lambda step, dice: (step % 300, dice.choice([1.0, 50.0])),
    "in use": lambda step, dice: (dice.randrange(300), 30.0),
    "short among long": lambda step, dice: (step, inf) if step < 300 else (300, 0.1),
}
"""Busy lives: the next key, and how long it lives."""


@pytest.mark.parametrize("life", WRITES)
def test_a_busy_agenda_stays_short_and_cheap(life):
    """However entries come and go, it has no more lines than a few per entry, and a write looks at a few at most."""
    calendar, dice = Calendar(), random.Random(5)
    for step in range(5000):
        key, seconds = WRITES[life](step, dice)
        calendar.put(key, seconds)
        calendar.take_if_asked()
        assert calendar.length <= 3 * calendar.most + SLACK + 1
        if life == "forgotten":
            del calendar.deadlines[key]
        elif life == "in use":
            calendar.lengthen(dice.randrange(300), 1.0)
        calendar.now += 0.1
    assert calendar.looked_at <= 20 * 5000


TAGS = st.sampled_from("abc")

BARRIER_STEP = st.one_of(
    st.tuples(st.sampled_from(["hard", "soft"]), TAGS),
    st.tuples(st.just("begin"), st.lists(TAGS, max_size=3)),
    st.tuples(st.just("look"), st.integers(0, 20)),
    st.tuples(st.just("leave"), st.integers(0, 20)),
    st.tuples(st.just("thin out"), st.none()),
)

BARRIER_STEPS = st.lists(BARRIER_STEP, max_size=15) | st.lists(BARRIER_STEP, min_size=40, max_size=60)


class Standing:
    """Something that was begun, and what has hit it since it was last compared."""

    def __init__(self, tags, mark):
        self.tags, self.mark = tuple(tags), mark
        self.hard, self.soft = False, []


@settings(derandomize=True, max_examples=400)
@given(BARRIER_STEPS)
def test_a_barrier_holds_what_was_begun_before_it(steps):
    """Thinned out or not, a look finds exactly the invalidations of its tags since it was begun or last looked at."""
    barriers, standing, now = Barriers(), [], 0.0
    for what, which in steps:
        now += 1.0
        if what == "begin":
            standing.append(Standing(which, barriers.number))
        elif what in ("hard", "soft"):
            barriers.raise_hard(which) if what == "hard" else barriers.raise_soft(which, now)
            for each in standing:
                if which in each.tags:
                    each.hard = each.hard or what == "hard"
                    each.soft += [now] if what == "soft" else []
        elif what == "thin out":
            barriers.thin_out([tag for each in standing for tag in each.tags], barriers.number)
        elif standing:
            each = standing[which % len(standing)]
            if what == "leave":
                standing.remove(each)
                continue
            hard, since = barriers.before(each.tags, each.mark)
            assert hard is each.hard
            assert hard or since == min(each.soft, default=None)
            each.mark, each.hard, each.soft = barriers.number, False, []


def test_what_is_being_computed_is_not_thinned_out():
    """A barrier that was raised after a computation began is kept for it, though no entry has its tag yet."""
    barriers = Barriers()
    barriers.raise_hard("early")
    mark = barriers.number
    barriers.raise_hard("a")
    barriers.raise_soft("b", 7.0)
    barriers.thin_out([], mark)
    assert barriers.before(("a", "b", "early"), mark) == (True, 7.0)
    assert barriers.before(("early",), 0) == (False, None)


def test_many_barriers_are_told_to_be_many():
    """They are crowded once there are more than a few, and more than a few per entry; thinned out they are not."""
    barriers = Barriers()
    for number in range(FEW + 200):
        assert not barriers.crowded(100)
        barriers.raise_soft(f"tag {number % (FEW + 200)}", 0.0)
    barriers.raise_hard("one more")
    assert barriers.crowded(100)
    assert not barriers.crowded(101)
    barriers.thin_out(["tag 3", "tag 7"], barriers.number)
    assert not barriers.crowded(0)
    assert barriers.before(("tag 3",), 0) == (False, 0.0)
    assert barriers.before(("tag 4", "one more"), 0) == (False, None)


def test_many_soft_barriers_of_one_tag_are_few():
    """However often a tag is called stale, a look finds that at once, and takes nothing for younger than it is."""
    barriers, dice, times, begun = Barriers(), random.Random(7), [], []
    for now in range(2000):
        if dice.random() < 0.5:
            barriers.raise_soft("a", float(now))
            times.append(float(now))
        else:
            begun.append((barriers.number, len(times)))
        mark, before = dice.choice(begun or [(0, 0)])
        revoked, since = barriers.before(("a",), mark)
        assert not revoked
        if before == len(times):
            assert since is None
        else:
            assert since <= times[before]
    assert len(barriers._barriers["a"].softs) <= CLOSE
    assert barriers.before(("a",), begun[-1][0])[1] == next(iter(times[begun[-1][1] :]), None)
