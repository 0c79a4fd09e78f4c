"""S3-FIFO, against the three queues of the paper, kept as plain lists."""

from hypothesis import given
from hypothesis import strategies as st

from pyresilience.policies.s3fifo import S3Fifo

KEYS = st.one_of(st.integers(0, 3), st.integers(0, 30))
STEPS = st.lists(st.tuples(st.sampled_from("ggggggggggdv"), KEYS), max_size=300)


class Paper:
    """Small queue, main queue and ghosts, each from the oldest to the newest, and how often each key was hit."""

    def __init__(self):
        self.small, self.main, self.ghosts, self.hits = [], [], [], {}

    def add(self, key):
        queue = self.main if key in self.ghosts else self.small
        if key in self.ghosts:
            self.ghosts.remove(key)
        queue.append(key)
        self.hits[key] = 0

    def touch(self, key):
        self.hits[key] = min(self.hits[key] + 1, 3)

    def discard(self, key):
        for queue in (self.small, self.main):
            if key in queue:
                queue.remove(key)
        self.hits.pop(key, None)

    def victim(self):
        tenth = max(1, len(self.hits) // 10)
        ghosts = len(self.hits) - tenth
        while True:
            if len(self.small) > tenth or not self.main:
                key = self.small.pop(0)
                if self.hits[key] <= 1:
                    if key in self.ghosts:
                        self.ghosts.remove(key)
                    self.ghosts = [*self.ghosts, key][-ghosts:] if ghosts else []
                    break
            else:
                key = self.main.pop(0)
                if self.hits[key] == 0:
                    break
                self.hits[key] -= 1
            self.main.append(key)
        del self.hits[key]
        return key


@given(size=st.integers(1, 25), steps=STEPS)
def test_it_does_what_the_paper_says(size, steps):
    """On any sequence of accesses, invalidations and evictions the same keys leave in the same order."""
    machine, paper = S3Fifo(size), Paper()
    for step, key in steps:
        if step == "d":
            machine.discard(key)
            paper.discard(key)
        elif step == "v":
            if paper.hits:
                assert machine.victim() == paper.victim()
        elif key in paper.hits:
            machine.touch(key)
            paper.touch(key)
        else:
            machine.add(key)
            paper.add(key)
            if len(paper.hits) > size:
                assert machine.victim() == paper.victim()
        assert len(machine) == len(paper.hits)
        assert [*machine._ghosts] == [hash(key) for key in paper.ghosts]
    assert [machine.victim() for _ in [*paper.hits]] == [paper.victim() for _ in [*paper.hits]]


def cache_of(size, keys):
    """An order that was asked for *keys*, one after the other, in a cache of that size; who was evicted."""
    machine, held, evicted = S3Fifo(size), set(), []
    for key in keys:
        if key in held:
            machine.touch(key)
            continue
        held.add(key)
        machine.add(key)
        if len(held) > size:
            evicted.append(machine.victim())
            held.remove(evicted[-1])
    return evicted


def test_three_hits_are_worth_three_rounds():
    """In the main queue who has fewer hits leaves first, whoever came first; a fourth hit makes no difference."""
    machine = S3Fifo(5)
    for key, hits in (("p", 3), ("q", 2), ("r", 4), ("s", 3), ("new", 0)):
        machine.add(key)
        for _ in range(hits):
            machine.touch(key)
    assert [machine.victim() for _ in range(5)] == ["q", "p", "r", "s", "new"]


def test_clearing_forgets_ghosts():
    """Who was there before everything was cleared is a newcomer like any other."""
    machine = S3Fifo(2)
    for key in range(4):
        machine.add(key)
    machine.victim()
    machine.clear()
    machine.add(0)
    assert [len(queue) for queue in machine._segments] == [1, 0]


def test_a_scan_leaves_what_is_used():
    """Keys that come once push out each other, and not those that were hit twice."""
    used = [*range(15)] * 3
    assert not set(used) & set(cache_of(20, [*used, *range(100, 1000)]))


def test_one_hit_does_not_lead_to_the_main_queue():
    """A second access may be chance: one hit in the small queue does not save a key."""
    assert 0 in cache_of(20, [0, 0, *range(100, 130)])
    assert 0 not in cache_of(20, [0, 0, 0, *range(100, 130)])


def test_who_comes_back_stays():
    """A key that was evicted a while ago, and comes again, is not looked at a second time: it outlives a scan."""
    before, after = [*range(100, 130)], [*range(200, 230)]
    assert cache_of(20, [0, *before, 0, *after]).count(0) == 1
