"""Who waits in a cache for another caller."""


def waiting(f):
    """How many callers wait for another, and know for how long: they learn it with the lock in hand."""
    flights = f.cache._cache.flights
    with flights.lock:
        return sum(len(flight.followers) for flight in flights._flying.values())
