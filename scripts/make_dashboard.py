# ruff: noqa: INP001 - a script, and no package
"""Writes the Grafana dashboard, `deploy/grafana-dashboard.json`, from the panels below.

Run it from anywhere: `python scripts/make_dashboard.py`. Import the file in Grafana (9.0 or later) under
Dashboards → New → Import, and choose the Prometheus data source that scrapes the application.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "deploy" / "grafana-dashboard.json"

CHOSEN = 'job=~"$job",function=~"$function"'
"""What the variables at the top of the dashboard choose."""
_ILL = 'outcome=~"failure|rejected"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24

GOOD, WARN, BAD, CALM, PLAIN = "green", "orange", "red", "blue", "purple"
OUTCOMES = {"success": GOOD, "fallback": WARN, "rejected": PLAIN, "failure": BAD}


def rate(metric: str, by: str = "", where: str = "") -> str:
    """How fast a counter grows, per second, of the chosen functions."""
    selected = f"{metric}{{{CHOSEN}{',' if where else ''}{where}}}"
    total = f"rate({selected}[$__rate_interval])"
    return f"sum by ({by}) ({total})" if by else f"sum({total})"


def ratio(part: str, *parts: str, by: str = "function") -> str:
    """The share of one counter in the sum of itself and the others."""
    whole = " + ".join(rate(each, by) for each in (part, *parts))
    return f"{rate(part, by)} / ({whole})"


def quantile(share: float, histogram: str, where: str = "") -> str:
    """The duration that this share of the calls did not exceed."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', 'function, le', where)})"


def gauge(metric: str, where: str = "") -> str:
    """A gauge of the chosen functions, summed over the processes."""
    return f"sum by (function) ({metric}{{{CHOSEN}{',' if where else ''}{where}}})"


def query(expression: str, legend: str, place: int = 0) -> dict[str, Any]:
    """One query of a panel; *legend* names its series."""
    return {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}


def colours(chosen: dict[str, str]) -> list[dict[str, Any]]:
    """The same colour for the same thing everywhere."""
    return [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for name, colour in chosen.items()
    ]


def panel(
    kind: str, title: str, what: str, *queries: tuple[str, str], unit: str = "short", **more: Any
) -> dict[str, Any]:
    """One panel. *what* is shown when a reader asks what it means."""
    defaults: dict[str, Any] = {"unit": unit, **more.pop("defaults", {})}
    if kind == "timeseries":
        stacked = {"mode": "normal"} if more.pop("stacked", False) else {"mode": "none"}
        defaults["custom"] = {"fillOpacity": 30 if stacked["mode"] == "normal" else 8, "stacking": stacked}
        defaults.setdefault("min", 0)
        more["options"] = {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {
        "type": kind,
        "title": title,
        "description": what,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": colours(more.pop("colours", {}))},
        "targets": [query(*each, place) for place, each in enumerate(queries)],
        **more,
    }


def stat(
    title: str, what: str, expression: str, steps: list[tuple[float | None, str]], unit: str = "short"
) -> dict[str, Any]:
    """One large number; *steps*: from which value on it has which colour."""
    thresholds = {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}
    return panel(
        "stat", title, what, (expression, ""), unit=unit,
        defaults={"thresholds": thresholds, "noValue": "-"},
        options={"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}},
    )  # fmt: skip


def circuits() -> dict[str, Any]:
    """The state of each circuit over time: the worst of all processes."""
    states = {0: ("closed", GOOD), 1: ("half-open", WARN), 2: ("open", BAD)}
    selected = {
        state: f'max by (function) (pyresilience_circuit_state{{{CHOSEN},state="{state}"}})'
        for state in ("half_open", "open")
    }
    return panel(
        "state-timeline", "Circuits", "The state of each function's circuit breaker. While it is open, calls are refused.",
        (f"clamp_max({selected['half_open']} + 2 * {selected['open']}, 2)", EACH),
        defaults={
            "mappings": [
                {"type": "value", "options": {str(value): {"text": text, "color": colour}}}
                for value, (text, colour) in states.items()
            ],
            "custom": {"fillOpacity": 80, "lineWidth": 0},
        },
        options={"mergeValues": True, "showValue": "never", "rowHeight": 0.8},
    )  # fmt: skip


HITS, MISSES = "pyresilience_cache_hits_total", "pyresilience_cache_misses_total"
SERVED = "pyresilience_cache_stale_served_total"
CALLS = "pyresilience_calls_total"
OPERATION = "pyresilience_cache_operation_duration_seconds"
EACH = "{{function}}"


def rows() -> list[tuple[int, list[dict[str, Any]]]]:
    """The panels, row by row; each row has its height."""
    return [
        (4, [
            stat("Hit ratio", "Calls answered from the cache, of all calls to caches.",
                 f"{rate(HITS)} / ({rate(HITS)} + {rate(MISSES)})", [(None, CALM)], "percentunit"),
            stat("Runs per second", "Runs of the functions behind the caches.", rate(CALLS), [(None, CALM)], "ops"),
            stat("Failed runs", "Runs that raised, refused ones included, of all runs.",
                 f"{rate(CALLS, where=_ILL)} / {rate(CALLS)}", [(None, GOOD), (0.01, WARN), (0.05, BAD)], "percentunit"),
            stat("Open circuits", "Functions whose circuit is open in a process.",
                 f'count(max by (function) (pyresilience_circuit_state{{{CHOSEN},state="open"}}) > 0) or vector(0)',
                 [(None, GOOD), (1, BAD)]),
            stat("Retries per run", "Attempts that followed a failed one, per run.",
                 f"{rate('pyresilience_retries_total')} / {rate(CALLS)}", [(None, GOOD), (0.1, WARN), (1, BAD)]),
            stat("Cached", "Estimated size of all entries.", f"sum(pyresilience_cache_size_bytes{{{CHOSEN}}})",
                 [(None, CALM)], "bytes"),
        ]),
        (6, [circuits()]),
        (8, [
            panel("timeseries", "Runs by outcome", "How runs of the functions end. Cache hits are no runs.",
                  (rate(CALLS, "outcome"), "{{outcome}}"), unit="ops", stacked=True, colours=OUTCOMES),
            panel("timeseries", "Duration of runs", "Including retries, their pauses, and the time in line.",
                  *((quantile(share, "pyresilience_call_duration_seconds"), f"p{share * 100:g} {EACH}") for share in (0.5, 0.99)),
                  unit="s"),
        ]),
        (8, [
            panel("timeseries", "Retries, time-outs, stand-ins", "What the pipeline did to save calls.",
                  *((rate(f"pyresilience_{each}_total"), each) for each in ("retries", "timeouts", "fallbacks")), unit="ops"),
            panel("timeseries", "Refusals by stage", "Calls that did not reach the function.",
                  (rate("pyresilience_rejections_total", "stage"), "{{stage}}"), unit="ops", stacked=True),
            panel("timeseries", "Changes of circuits", "How often circuits became open, half-open and closed.",
                  (rate("pyresilience_circuit_transitions_total", "state"), "{{state}}"), unit="ops",
                  colours={"closed": GOOD, "half_open": WARN, "open": BAD}),
        ]),
        (8, [
            panel("timeseries", "Hit ratio", "Calls answered from the cache, of all calls to it.",
                  (ratio(HITS, MISSES), EACH), unit="percentunit", defaults={"max": 1}),
            panel("timeseries", "Calls to caches by source",
                  "Fresh: from an entry. Coalesced: waited for another caller to compute. Stale: from an expired entry. "
                  "Miss: no answer in the cache.",
                  (f"{rate(HITS)} - {rate('pyresilience_cache_coalesced_total')}", "fresh"),
                  (rate("pyresilience_cache_coalesced_total"), "coalesced"), (rate(SERVED), "stale"),
                  (f"{rate(MISSES)} - {rate(SERVED)}", "miss"),
                  unit="ops", stacked=True, colours={"fresh": GOOD, "coalesced": CALM, "stale": "yellow", "miss": WARN}),
            panel("timeseries", "Why misses", "Expired entries, waits that took too long, runs, results too large to keep.",
                  *((rate(f"pyresilience_cache_{each}_total"), each.replace("_", " "))
                    for each in ("stale_hits", "wait_timeouts", "recalculations", "size_limit_rejections")), unit="ops"),
        ]),
        (8, [
            panel("timeseries", "Duration of hits", "Of calls answered from the cache; 99 % were faster.",
                  (quantile(0.99, OPERATION, 'result="hit"'), EACH), unit="s"),
            panel("timeseries", "Duration of misses", "Of calls that ran the function; 99 % were faster.",
                  (quantile(0.99, OPERATION, 'result="miss"'), EACH), unit="s"),
            panel("timeseries", "Evictions by cause", "Size: there was no room. Expired: their time was over.",
                  (rate("pyresilience_cache_evictions_total", "cause"), "{{cause}}"), unit="ops", stacked=True),
        ]),
        (8, [
            panel("timeseries", "Entries", "Entries in each cache, and how many there may be.",
                  (gauge("pyresilience_cache_entries"), EACH),
                  (gauge("pyresilience_cache_max_entries"), f"limit of {EACH}")),
            panel("timeseries", "Size", "Estimated bytes of the entries, or what their weigher says, and what they may weigh.",
                  (gauge("pyresilience_cache_size_bytes"), EACH),
                  (gauge("pyresilience_cache_max_weight"), f"limit of {EACH}"), unit="bytes"),
            panel("timeseries", "Background reloads", "Entries that are being reloaded, and reloads per minute that brought nothing.",
                  (gauge("pyresilience_cache_reloading"), f"{EACH} now"),
                  (f"60 * {rate('pyresilience_cache_reload_failures_total', 'function')}", f"{EACH} failed per minute")),
            panel("timeseries", "Failing listeners", "Events on which a listener raised. It should be 0.",
                  (rate("pyresilience_listener_errors_total", "function"), EACH), unit="ops"),
        ]),
    ]  # fmt: skip


def variable(name: str, label: str, text: str) -> dict[str, Any]:
    """A choice at the top of the dashboard: several values of a label, or all."""
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": text, "refId": name},
        "refresh": 2, "includeAll": True, "allValue": ".*", "multi": True, "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The whole dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for height, row in rows():
        for place, each in enumerate(row):
            width = WIDTH // len(row)
            where = {"x": place * width, "y": top, "w": width, "h": height}
            panels.append({"id": len(panels) + 1, "gridPos": where, **each})
        top += height
    known = "pyresilience_listener_errors_total"
    return {
        "uid": "pyresilience",
        "title": "pyresilience",
        "description": "Caches and resilience pipelines of Python functions.",
        "tags": ["python", "cache", "resilience"],
        "schemaVersion": 36,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                variable("job", "Job", f"label_values({known}, job)"),
                variable("function", "Function", f'label_values({known}{{job=~"$job"}}, function)'),
            ]
        },
        "panels": panels,
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text(), encoding="utf-8")
