"""Two callers at once: one is stopped at every point of the library in turn, while the other runs."""

import threading
from itertools import count

from interrupting import eventually, meddle

HEAD_START = 0.005
"""Seconds that the other has; it may have to wait for the one that is stopped, so these only make a test sharper."""
PATIENCE = 20.0


def interleavings(make, first, second, then=None):
    """All ways in which *first* and *second* can meet in a world that is made for each.

    Args:
        make: Makes the world; it tells whether a caller `waits` in it.
        first: What the caller does that is stopped, in that world.
        second: What the other does meanwhile.
        then: What happens once both are under way.

    Yields the world, and what each returned or raised.
    """
    for point in count(1):
        world, stopped, go_on = make(), threading.Event(), threading.Event()
        reached, ends = [], [None, None]

        def stop(reached=reached, stopped=stopped, go_on=go_on):
            reached.append(True)
            stopped.set()
            assert go_on.wait(PATIENCE)

        def end(place, act, world=world, ends=ends):
            try:
                ends[place] = act(world)
            except Exception as error:
                ends[place] = error

        def lead(point=point, stop=stop, end=end, stopped=stopped):
            meddle(point, lambda: end(0, first), stop)
            stopped.set()

        callers = [
            threading.Thread(target=lead, daemon=True),
            threading.Thread(target=end, args=(1, second), daemon=True),
        ]
        callers[0].start()
        assert eventually(lambda: stopped.is_set() or world.waits)
        callers[1].start()
        callers[1].join(HEAD_START)
        go_on.set()
        if then is not None:
            then(world)
        for caller in callers:
            caller.join(PATIENCE)
            assert not caller.is_alive(), f"a caller hangs, one having been stopped at point {point}"
        if not reached:
            return
        yield world, *ends
