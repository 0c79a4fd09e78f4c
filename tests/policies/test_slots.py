"""The slots of a bulkhead."""

import gc

from pyresilience.policies.slots import Slots


def take(slots, vanished=lambda home: False):
    """A slot as a bulkhead takes it: from the rack, a new one, or in place of one whose holder is gone."""
    slot = slots.take() or slots.issue()
    if slot is None:
        slots.recover(vanished)
        slot = slots.take()
    return slot


def test_there_are_as_many_as_the_limit():
    """A slot is given until none is left, and again once one is back."""
    slots = Slots(2)
    first, second = take(slots), take(slots)
    assert slots.in_use == 2
    assert take(slots) is None
    slots.rack.append(first)
    assert slots.in_use == 1
    assert take(slots) is first
    assert second is not first


def test_slots_are_made_when_needed():
    """A large limit costs nothing before so many callers are inside."""
    slots = Slots(10**12)
    first, second = take(slots), take(slots)
    assert first is not second
    assert len(slots.rack) == 0


def test_the_slot_of_a_holder_that_died_comes_back():
    """A slot that nobody holds any more is replaced, once."""
    slots = Slots(2)
    kept = take(slots)
    take(slots)
    gc.collect()
    assert take(slots) is not None
    assert kept.void is False


def test_the_slot_of_a_holder_whose_loop_is_gone_comes_back():
    """A slot whose home has vanished is replaced, and does not come back a second time."""
    slots = Slots(2)
    gone, here = take(slots), take(slots)
    gone.home, here.home = "gone", "here"
    fresh = take(slots, lambda home: home == "gone")
    assert fresh not in (None, gone, here)
    assert (gone.void, here.void) == (True, False)
    assert take(slots) is None


def test_slots_on_the_rack_are_left_alone():
    """Recovering replaces nothing that nobody has taken, whatever home it had last."""
    slots = Slots(1)
    slot = take(slots)
    slot.home = "gone"
    slots.rack.append(slot)
    slots.recover(lambda home: home == "gone")
    assert list(slots.rack) == [slot]
    assert slot.void is False


def test_in_a_child_all_are_free():
    """Renewing takes the slots from whoever holds them."""
    slots = Slots(3)
    held = [take(slots), take(slots)]
    slots.renew()
    assert slots.in_use == 0
    assert [each.void for each in held] == [True, True]
    free = [take(slots) for _ in range(4)]
    assert [slot is None for slot in free] == [False, False, False, True]
