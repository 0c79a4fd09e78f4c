"""SIEVE, against the queue and the hand of the paper, kept as a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.sieve import Sieve

STEPS = st.lists(st.tuples(st.sampled_from("ggggggdddv"), st.integers(0, 9)), max_size=200)


class Paper:
    """A list from the oldest to the newest; the hand is a key, or None where it begins at the oldest."""

    def __init__(self):
        self.keys, self.visited, self.hand = [], set(), None

    def add(self, key):
        self.keys.append(key)

    def touch(self, key):
        self.visited.add(key)

    def after(self, key):
        """Who is next to *key*, towards the newest."""
        return dict(zip(self.keys, self.keys[1:], strict=False)).get(key)

    def discard(self, key):
        if key in self.keys:
            if self.hand == key:
                self.hand = self.after(key)
            self.keys.remove(key)
            self.visited.discard(key)

    def victim(self):
        """The paper evicts before the newest comes, so the hand does not see that one, unless it is alone."""
        seen = self.keys[:-1] or self.keys
        place = seen.index(self.hand) if self.hand in seen else 0
        while seen[place] in self.visited:
            self.visited.remove(seen[place])
            place = (place + 1) % len(seen)
        key = seen[place]
        self.hand = (*seen, None)[place + 1]
        self.keys.remove(key)
        return key


@given(size=st.integers(1, 6), steps=STEPS)
def test_it_does_what_the_paper_says(size, steps):
    """On any sequence of accesses, invalidations and evictions the same keys leave in the same order."""
    machine, paper = Sieve(size), Paper()
    for step, key in steps:
        if step == "d":
            machine.discard(key)
            paper.discard(key)
        elif step == "v":
            if paper.keys:
                assert machine.victim() == paper.victim()
        elif key in paper.keys:
            machine.touch(key)
            paper.touch(key)
        else:
            machine.add(key)
            paper.add(key)
            if len(paper.keys) > size:
                assert machine.victim() == paper.victim()
        assert len(machine) == len(paper.keys)
    assert [machine.victim() for _ in paper.keys[:]] == [paper.victim() for _ in paper.keys[:]]


def test_who_was_hit_is_spared_once():
    """A hit is worth one passing of the hand, however many hits there were."""
    machine = Sieve(3)
    for key in "abc":
        machine.add(key)
    machine.touch("a")
    machine.touch("a")
    machine.add("d")
    assert machine.victim() == "b"
    machine.touch("c")
    machine.add("e")
    assert machine.victim() == "d"
    machine.add("f")
    assert machine.victim() == "a"


def test_it_begins_again_when_all_ahead_are_gone():
    """The newest are invalidated, with the hand among them: it goes back to the oldest, whoever comes then."""
    machine = Sieve(3)
    for key in "abc":
        machine.add(key)
    machine.touch("a")
    machine.add("d")
    assert machine.victim() == "b"
    machine.discard("c")
    machine.discard("d")
    for key in "efg":
        machine.add(key)
    assert machine.victim() == "a"
