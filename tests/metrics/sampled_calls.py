"""Metrics whose sampling follows a list, instead of chance."""

FAR = 10**9
"""So many calls are left out when the list is over."""


def choose(metrics, choices):
    """Let *metrics* record those of its next calls for which *choices* says so, and none after them; returns them."""
    gaps, out = [], 0
    for chosen in choices:
        if chosen:
            gaps.append(out)
            out = 0
        else:
            out += 1
    left = iter([*gaps, FAR + out])
    metrics.draw = lambda: next(left)
    metrics.skip = metrics.draw()
    return metrics


def is_used_up(metrics):
    """Whether exactly as many calls came as there were choices."""
    return metrics.skip == FAR
