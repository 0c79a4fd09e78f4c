"""Figures for the page, as /stats.json would give them: a quiet service, an incident, and odd ones."""

from __future__ import annotations

import math
import random
import time

SLICES = 16
WINDOWS = (60, 3600, 86400)
SERIES = (
    "hits", "misses", "coalesced", "stale_hits", "stale_served", "wait_timeouts",
    "success", "failure", "rejected", "fallback", "retries", "timeouts",
)  # fmt: skip
NAMES = (
    "shop.prices.price", "shop.prices.currency_rate", "shop.stock.available", "shop.basket.Basket.total",
    "shop.search.suggest", "shop.search.facets", "shop.pages.product", "shop.pages.landing",
    "accounts.profile.avatar_url", "accounts.sessions.user_of", "payments.gateway.charge", "payments.fraud.score",
)  # fmt: skip
TROUBLED = "payments.gateway.charge"
WOBBLY = "payments.fraud.score"


def latencies(p50, p99=None):
    """Quantiles of a histogram, in seconds; None: nothing was timed."""
    return {"p50": p50, "p95": p50 and (p99 or p50) * 0.7, "p99": p50 and (p99 or p50)}


def cache(hits=0, misses=0, **more):
    """What is said of a cache."""
    coalesced = more.pop("coalesced", 0)
    known = {
        "calls": hits + misses, "hits": hits, "fresh_hits": hits - coalesced, "coalesced": coalesced, "stale_hits": 0,
        "stale_served": 0, "misses": misses, "recalculations": misses, "wait_timeouts": 0, "size_limit_rejections": 0,
        "hit_ratio": hits / (hits + misses) if hits + misses else None, "entries": 0, "max_entries": 256, "bytes": 0,
        "max_weight": None, "reloading": 0, "reload_failures": 0,
        "ttl": 300.0, "evictions": {"size": 0, "expired": 0, "invalidated": 0}, "sampling_rate": 1.0,
        "hit_latency": latencies(2.1e-7, 9e-7) if hits else latencies(None),
        "load_latency": latencies(0.031, 0.22) if misses else latencies(None),
    }  # fmt: skip
    assert set(more) <= set(known)
    return known | more


def runs(success=0, failure=0, **more):
    """What is said of the runs of a function."""
    known = {
        "success": success, "failure": failure, "rejected": 0, "fallback": 0, "retries": 0, "timeouts": 0,
        "fallbacks": 0, "rejections": {"circuit_breaker": 0, "rate_limiter": 0, "bulkhead": 0, "timeout": 0, "other": 0},
        "latency": latencies(0.031, 0.22) if success + failure else latencies(None),
    }  # fmt: skip
    assert set(more) <= set(known)
    return known | more


def function(name, cache=None, runs=None, circuit=None, listener_errors=0):
    """One function of an answer."""
    return {"function": name, "cache": cache, "runs": runs, "circuit": circuit, "listener_errors": listener_errors}


def nothing(when):
    """No call at any time."""
    return dict.fromkeys(SERIES, 0.0)


def history(now, rates=nothing):
    """Counts per step of each window, where *rates* says how many of each series there are per second at a time."""
    told = {}
    for window in WINDOWS:
        step = window / SLICES
        starts = [now - window + step * index for index in range(SLICES)]
        bins = [counted(rates, start, start + step) for start in starts]
        series = {name: [round(each[name]) for each in bins] for name in SERIES}
        told[str(window)] = {"step": step, "end": now, **series}
    return told


def counted(rates, begin, end):
    """What is counted from *begin* to *end*, by steps of five seconds or a sixteenth that lie still as *end* moves."""
    step = max(5.0, (end - begin) / 16)
    total = dict.fromkeys(SERIES, 0.0)
    moment = begin
    while moment < end:
        length = min(step, end - moment)
        for name, each in rates(moment + length / 2).items():
            total[name] += each * length
        moment += length
    return total


def answer(functions=(), now=None, histories=None):
    """The whole answer."""
    now = time.time() if now is None else now
    return {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "now": now,
        "window": None,
        "windows": list(WINDOWS) if functions else [],
        "functions": list(functions),
        "history": histories or (history(now) if functions else {}),
    }


def service(now, count=len(NAMES), *, incident=False, seconds=0.0):
    """A service of *count* functions, *seconds* after it was first looked at, in an incident or without one."""
    die = random.Random(7)
    begun = now - seconds - 11 * 60  # when the incident began
    rates = _rates(begun, incident)
    total = counted(rates, now - seconds - 5400, now - seconds)
    since = counted(rates, now - seconds, now)
    total = {name: total[name] + since[name] for name in SERIES}
    busy = [die.lognormvariate(0, 1.2) for _ in range(count)]
    ratios = [die.uniform(0.4, 1.6) for _ in range(count)]
    functions = []
    for index in range(count):
        name = NAMES[index] if index < len(NAMES) else f"{NAMES[index % len(NAMES)]}_{index // len(NAMES) + 1}"
        ill, wobbly = incident and name == TROUBLED, incident and name == WOBBLY
        share = busy[index] / sum(busy)
        part = share * ratios[index] * sum(busy) / sum(map(float.__mul__, busy, ratios))
        hits, misses = round(total["hits"] * share), round(total["misses"] * part)
        slow = die.lognormvariate(math.log(0.02), 1)
        entries = min(256, round(busy[index] * 120))
        rejected = round(total["rejected"]) if ill else 0
        shelf = cache(
            hits, misses, coalesced=round(total["coalesced"] * share), stale_served=(served := round(total["stale_served"]) if wobbly else 0),
            stale_hits=served + (misses // 50 if index % 3 == 0 else 0), reload_failures=37 if wobbly else 0,
            wait_timeouts=round(total["wait_timeouts"]) if ill else 0, entries=entries,
            bytes=entries * die.randint(200, 9000),
            evictions={"size": misses // 9 if entries == 256 else 0, "expired": misses // 3, "invalidated": index},
            hit_latency=latencies(2e-7 * die.uniform(0.8, 3), 2e-6 * die.uniform(0.6, 3)),
            load_latency=latencies(slow, slow * die.uniform(2, 9)),
        )  # fmt: skip
        ended = runs(
            round(total["success"] * part), round(total["failure"] * (0.9 if ill else 0.1 * part)), rejected=rejected,
            fallback=round(total["fallback"]) if wobbly else 0,
            retries=round(total["retries"] * (0.9 if ill else 0.1 * part)),
            timeouts=round(total["timeouts"] * (0.9 if ill else 0.1 * part)),
            rejections={"circuit_breaker": rejected, "rate_limiter": 0, "bulkhead": 0, "timeout": 0, "other": 0},
            latency=latencies(slow, slow * 5),
        )  # fmt: skip
        state = _circuit(index, now, begun, ill, wobbly)
        functions.append(function(name, shelf if index % 7 != 5 else None, ended, state))
    return answer(functions, now, history(now, rates))


def _circuit(index, now, begun, ill, wobbly):
    if ill:
        turns = [[begun + 40, "open"], [begun + 100, "half_open"], [begun + 104, "open"], [begun + 164, "half_open"]]
        turns += [[begun + 190, "closed"], [begun + 260, "open"], [begun + 320, "half_open"], [begun + 330, "open"]]
        return {"state": "open", "history": turns}
    if wobbly:
        turns = [[now - 2500, "open"], [now - 2440, "half_open"], [now - 2400, "closed"], [begun + 80, "open"]]
        return {"state": "half_open", "history": [*turns, [now - 120, "half_open"]]}
    if index % 3 == 1:
        turns = [[now - 3000, "open"], [now - 2940, "half_open"], [now - 2925, "closed"]] if index == 7 else []
        return {"state": "closed", "history": turns}
    return None


def _rates(begun, incident):
    """Calls per second over the time: a slow swell, and from *begun* on the incident."""

    def rates(when):
        swell = 1 + 0.18 * math.sin(when / 900) + 0.05 * math.sin(when / 130) + 0.03 * math.sin(when / 17)
        ill = incident and when > begun
        return {
            "hits": 820 * swell * (0.86 if ill else 1), "misses": 96 * swell * (1.5 if ill else 1),
            "coalesced": 3.1 * swell * (4 if ill else 1), "stale_hits": 1.0, "stale_served": 19 * swell if ill else 0.0,
            "wait_timeouts": 1.4 if ill else 0.0,
            "success": 95 * swell * (0.8 if ill else 1), "failure": 7.5 * swell if ill else 0.04,
            "rejected": 38 * swell if ill else 0.0, "fallback": 4.0 * swell if ill else 0.0,
            "retries": 11 * swell if ill else 0.3, "timeouts": 2.6 * swell if ill else 0.02,
        }  # fmt: skip

    return rates
