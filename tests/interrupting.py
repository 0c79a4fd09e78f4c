"""Ctrl-C and signal handlers at every point of the library where the interpreter can deliver them."""

import os
import sys
import threading
import time
from pathlib import Path

import pyresilience

HOME = str(Path(pyresilience.__file__).parent) + os.sep
SIGNAL_POINTS = ("call", "c_return")
"""A signal handler runs when a function is entered, or a built-in one has returned."""


def is_shielded(frame):
    """Whether no Ctrl-C comes here: trio keeps it from its system tasks."""
    while frame is not None:
        if frame.f_code.co_qualname.startswith("_spawn_in_trio"):
            return True
        frame = frame.f_back
    return False


def interrupt(point, act):
    """Run *act* with Ctrl-C at the *point*-th place inside the library; the place, or None if it has fewer."""
    count, place = 0, None

    def watch(frame, event, arg):
        nonlocal count, place
        if event in SIGNAL_POINTS and frame.f_code.co_filename.startswith(HOME) and not is_shielded(frame):
            count += 1
            if count == point:
                sys.setprofile(None)
                place = f"{frame.f_code.co_filename[len(HOME) :]}:{frame.f_lineno} {event}"
                raise KeyboardInterrupt

    sys.setprofile(watch)
    try:
        act()
    except KeyboardInterrupt:
        return place
    finally:
        sys.setprofile(None)
    assert place is None, f"the interrupt at {place} was swallowed"
    return None


def meddle(point, act, handler):
    """Run *act* with *handler* at the *point*-th place inside the library; whether there was such a place."""
    count, reached = 0, False

    def watch(frame, event, arg):
        nonlocal count, reached
        if event in SIGNAL_POINTS and frame.f_code.co_filename.startswith(HOME):
            count += 1
            if count == point:
                sys.setprofile(None)
                reached = True
                handler()

    sys.setprofile(watch)
    try:
        act()
    finally:
        sys.setprofile(None)
    return reached


def eventually(condition):
    """Whether *condition* comes about."""
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.0005)
    return True


def is_free(lock):
    """Whether another thread can take *lock* now."""
    taken = []

    def take():
        if lock.acquire(timeout=15):
            taken.append(lock.release())

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(20)
    return bool(taken)
