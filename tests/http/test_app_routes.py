"""What each route answers, in every form of the app."""

from __future__ import annotations

import json
import re

import pytest

from pyresilience import CacheConfig, ResultCache, resilient
from pyresilience.http.files import POLICY, TYPES, shipped
from pyresilience.metrics.state import State

GETS = ["/", "/metrics", "/stats.json", "/cache/stats", "/healthz", "/page/page.css"]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_the_page_stands_at_the_root(client, price):
    """`GET /` is the page, with a policy that lets nothing in from elsewhere and nothing inline."""
    answer = client.get(client.app([price]), "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.lower().startswith("<!doctype html>")
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")


def test_everything_that_the_page_names_is_there(client, price):
    """Each file that the page loads is served beside it, with its type."""
    app = client.app([price])
    named = set(re.findall(r'(?:src|href)="(page/[^"]+)"', client.get(app, "/").text))
    assert named
    for name in named:
        answer = client.get(app, f"/{name}")
        assert (answer.status, answer.headers["content-type"]) == (200, TYPES[name[name.rindex(".") :]]), name
        assert answer.body == shipped()[name.removeprefix("page/")].content


def test_a_browser_keeps_files_until_they_change(client, price):
    """A file carries a tag, and is not sent again to a browser that has it."""
    app = client.app([price])
    tag = client.get(app, "/page/page.css").headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(app, "/page/page.css", headers={"If-None-Match": known})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert client.get(app, "/page/page.css", headers={"If-None-Match": '"other"'}).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/index.html",
        "/page/README.md",
        "/page/../answers.py",
        "/page/%2e%2e/answers.py",
        "/page/..%2f..%2f__init__.py",
        "/page/..%5c..%5c__init__.py",
        "/page/%2fetc%2fpasswd",
        "/page//etc/passwd",
        "/page/page.css%00.js",
        "/page/./page.css",
        "/page/page.css/",
        "/page/%ff%fe",
        "/pages/page.css",
        "/metrics/",
        "/%6detrics%20",
        "//",
        "/stats.json%0d%0aX:%20y",
    ],
)
def test_no_path_leads_elsewhere(client, price, path):
    """What is no route and no file of the page is not found, however it is written."""
    answer = client.get(client.app([price]), path)
    assert answer.status == 404
    assert answer.json["code"] == "NOT_FOUND"
    assert STAMP.fullmatch(answer.json["timestamp"])


@pytest.mark.parametrize("path", [*GETS, "/nowhere", "/page/nowhere"])
def test_head_is_get_without_the_body(client, price, path):
    """A HEAD gets status and headers of the GET, the length included, and nothing else."""
    app = client.app([price])
    get, head = client.get(app, path), client(app, "HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    assert {name for name, _ in head.list} == {name for name, _ in get.list}
    assert head.headers["content-type"] == get.headers["content-type"]
    assert get.headers["content-length"] == str(len(get.body))
    if path in ("/", "/page/page.css"):  # the others have a clock in them
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get"])
def test_a_method_that_a_path_does_not_take_is_named(client, price, path, method):
    """405 says in `Allow` what would do, and says it as JSON."""
    answer = client(client.app([price]), method, path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.json["code"] == "METHOD_NOT_ALLOWED"
    assert answer.json["path"] == path


def test_clearing_takes_posts_alone(client, price):
    """A GET, which a link can make, clears nothing."""
    answer = client.get(client.app([price], token="t"), "/cache/clear")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert price.cache_info().currsize == 2


@pytest.mark.parametrize(("path", "allow"), [("/metrics", "GET, HEAD, OPTIONS"), ("/cache/clear", "POST, OPTIONS")])
def test_options_says_what_a_path_takes(client, price, path, allow):
    """OPTIONS needs no token, has no body, and invites no other site."""
    answer = client(client.app([price], token="t", protect="all"), "OPTIONS", path)
    assert (answer.status, answer.headers["allow"], answer.body) == (204, allow, b"")
    assert not [name for name, _ in answer.list if name.startswith("access-control")]


@pytest.mark.parametrize("path", [*GETS, "/nowhere"])
def test_nothing_is_stored_or_guessed(client, price, path):
    """Figures are never kept by a cache on the way, and no type is guessed."""
    answer = client.get(client.app([price]), path)
    assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/page/") else "no-store")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_cache_stats_has_the_documented_shape(client, price):
    """The documented fields come first and in order; then ours, and each function's own."""
    answer = client.get(client.app([price]), "/cache/stats")
    content = answer.json
    assert list(content)[:2] == ["cache", "timestamp"]
    assert STAMP.fullmatch(content["timestamp"])
    cache = content["cache"]
    assert list(cache)[:4] == ["max_size", "size", "total_hits", "ttl"]
    assert (cache["max_size"], cache["size"], cache["total_hits"], cache["ttl"]) == (10, 2, 1, "5m0s")
    assert (cache["misses"], cache["coalesced"], cache["hit_ratio"]) == (2, 0, pytest.approx(1 / 3))
    assert cache["bytes"] > 0
    (label,) = content["functions"]
    assert label.endswith(".price")
    assert content["functions"][label] == cache


def test_cache_stats_sums_over_the_caches(client, price):
    """Sizes and hits add up; of different times to live the longest is told, and each function's own below."""

    @resilient(cache=CacheConfig(max_size=7, ttl=3600, enable_metrics=True))
    def stock(item):
        return 1

    stock("tea"), stock("tea")
    content = client.get(client.app([price, stock]), "/cache/stats").json
    cache = content["cache"]
    assert (cache["max_size"], cache["size"], cache["total_hits"], cache["ttl"]) == (17, 3, 2, "1h0m0s")
    assert sorted(each["ttl"] for each in content["functions"].values()) == ["1h0m0s", "5m0s"]


def test_a_cache_that_never_expires_is_told_first(client, price, flaky):
    """`0s`, for ever, is longer than any other time to live."""
    content = client.get(client.app([price, flaky]), "/cache/stats").json
    assert content["cache"]["ttl"] == "0s"
    assert {each["ttl"] for each in content["functions"].values()} == {"0s", "5m0s"}


def test_what_options_do_is_in_the_figures(client, clock):
    """Answers from expired entries, rejections, limits and evictions by cause, for each function and for all together."""
    down = []

    @resilient(
        cache=CacheConfig(
            max_size=2, ttl=10, stale_if_error=60, weigher=len, max_weight=9, max_entry_weight=5, enable_metrics=True
        ),
        clock=clock,
    )
    def spell(word):
        if down:
            raise ConnectionError
        return word

    for word in ("a", "bb", "ccc", "toolong"):
        spell(word)
    spell.cache.invalidate("bb")
    clock.advance(10)
    down.append(1)
    spell("ccc")
    content = client.get(client.app([spell]), "/cache/stats").json
    wanted = {
        "misses": 5, "stale_hits": 1, "stale_served": 1, "recalculations": 5, "wait_timeouts": 0,
        "size_limit_rejections": 1, "evictions": {"size": 1, "expired": 0, "invalidated": 1}, "bytes": 3,
        "max_weight": 9, "reloading": 0, "reload_failures": 0,
    }  # fmt: skip
    for figures in (content["cache"], *content["functions"].values()):
        assert {name: figures[name] for name in wanted} == wanted
    (function,) = client.get(client.app([spell]), "/stats.json").json["functions"]
    assert {name: function["cache"][name] for name in wanted} == wanted


def test_a_time_to_live_that_a_function_tells_is_not_known(client, price):
    """Such a cache says null, and takes no part in the longest time of all."""

    @resilient(cache=CacheConfig(ttl=lambda value: value, enable_metrics=True))
    def token():
        return 60

    assert client.get(client.app([token]), "/cache/stats").json["cache"]["ttl"] is None
    assert client.get(client.app([token, price]), "/cache/stats").json["cache"]["ttl"] == "5m0s"


def test_no_caches_are_no_error(client):
    """An app of no functions has figures like any other: noughts."""
    app = client.app([])
    content = client.get(app, "/cache/stats").json
    assert {name: content["cache"][name] for name in ("max_size", "size", "total_hits", "ttl", "hit_ratio")} == {
        "max_size": 0, "size": 0, "total_hits": 0, "ttl": "0s", "hit_ratio": None,
    }  # fmt: skip
    assert content["functions"] == {}
    assert client.get(app, "/stats.json?window=3600").json["functions"] == []
    assert client.get(app, "/healthz").json["status"] == "healthy"
    assert client.get(app, "/metrics").status == 200


def test_stats_json_tells_every_function(client, price, flaky):
    """`/stats.json` holds each function with cache, runs and circuit."""
    content = client.get(client.app([price, flaky]), "/stats.json").json
    one, other = content["functions"]
    assert [each["function"].rpartition(".")[2] for each in (one, other)] == ["flaky", "price"]
    assert (one["circuit"]["state"], other["circuit"]) == ("open", None)
    assert (other["cache"]["hits"], other["cache"]["misses"], other["cache"]["hit_ratio"]) == (
        1,
        2,
        pytest.approx(1 / 3),
    )
    assert content["window"] is None
    assert set(content["history"]) == {"60", "3600", "86400"}


@pytest.mark.parametrize("window", [60, 3600, 86400])
def test_stats_json_looks_back_so_far(client, price, window):
    """`?window=` restricts the figures, and the answer says to what."""
    content = client.get(client.app([price]), f"/stats.json?window={window}").json
    assert content["window"] == window
    assert content["functions"][0]["cache"]["calls"] == 3


@pytest.mark.parametrize("query", ["window=", "_=123", "%ff=%fe", "&&&", "window"])
def test_stats_json_without_a_window_tells_all(client, price, query):
    """No window, an empty one, and parameters of others mean since the start."""
    assert client.get(client.app([price]), f"/stats.json?{query}").json["window"] is None


@pytest.mark.parametrize(
    "query",
    ["window=61", "window=-60", "window=nan", "window=1h", "window=60&window=60", "window=%00", "window=" + "9" * 5000],
)
def test_a_window_that_there_is_not_is_refused(client, price, query):
    """A wrong window is a clear error, and a short one."""
    answer = client.get(client.app([price]), f"/stats.json?{query}")
    assert (answer.status, answer.json["code"]) == (400, "INVALID_REQUEST")
    assert "window" in answer.json["error"]
    assert len(answer.body) < 500


def test_a_flood_of_parameters_is_refused(client, price):
    """A query string has a bounded number of parameters."""
    answer = client.get(client.app([price]), "/stats.json?" + "&".join(f"a{each}=1" for each in range(5000)))
    assert answer.status == 400


def test_metrics_are_text_for_prometheus(client, price):
    """`/metrics` has the families, and the label of the function."""
    answer = client.get(client.app([price]), "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert re.search(r'^pyresilience_cache_hits_total\{function="[^"]*\.price"\} 1(\.0)?$', answer.text, re.MULTILINE)


def test_metrics_are_openmetrics_where_asked_for(client, price):
    """The format is what `Accept` prefers."""
    answer = client.get(client.app([price]), "/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.headers["vary"] == "Accept"
    assert answer.text.endswith("# EOF\n")


def test_healthz_says_which_circuits_are_open(client, price, flaky):
    """An open circuit is told, and is no illness unless asked so."""
    answer = client.get(client.app([price, flaky]), "/healthz")
    assert (answer.status, answer.json["status"]) == (200, "healthy")
    assert (answer.json["circuits"], answer.json["open_circuits"]) == (1, 1)
    assert [each.rpartition(".")[2] for each in answer.json["open"]] == ["flaky"]


@pytest.mark.parametrize(
    ("setting", "query", "status"),
    [
        ("ok", "", 200),
        ("ok", "?open_circuits=fail", 503),
        ("fail", "", 503),
        ("fail", "?open_circuits=ok", 200),
    ],
)
def test_healthz_fails_where_asked_so(client, flaky, setting, query, status):
    """503 while a circuit is open, if the app or the request says so; the request has the last word."""
    app = client.app([flaky], open_circuits=setting)
    answer = client.get(app, f"/healthz{query}")
    assert (answer.status, answer.json["status"]) == (status, "healthy" if status == 200 else "unhealthy")
    assert client(app, "HEAD", f"/healthz{query}").status == status
    flaky.circuit_breaker.reset()
    assert client.get(app, f"/healthz{query}").status == 200


def test_healthz_refuses_what_it_does_not_know(client, price):
    """A misspelt parameter is not taken for consent."""
    assert client.get(client.app([price]), "/healthz?open_circuits=Fail").status == 400


def test_without_functions_everything_in_the_process_is_shown(client):
    """`resilience_app()` shows what has metrics, also what is decorated later, and forgets what is gone."""
    app = client.app()

    @resilient(cache=CacheConfig(enable_metrics=True))
    def late_comer(x):
        return x

    late_comer(1)
    shown = [each for each in client.get(app, "/cache/stats").json["functions"] if each.endswith(".late_comer")]
    assert len(shown) == 1


def test_states_can_come_from_anywhere(client):
    """`states=` shows what it gives at every request; nothing of this process."""
    told = iter([[State("here")], [State("there"), State("there")]])
    app = client.app(states=lambda: next(told))
    assert [each["function"] for each in client.get(app, "/stats.json").json["functions"]] == ["here"]
    assert [each["function"] for each in client.get(app, "/stats.json").json["functions"]] == ["there"]


def test_states_are_asked_for_detail_where_they_know_it(client, price):
    """A source with a parameter `detailed`, such as an exporter, is asked for windows where they are shown."""
    from pyresilience.metrics.subject import Subject

    asked = []

    def states(*, detailed=False):
        asked.append(detailed)
        return [Subject(price).state(detailed=detailed)]

    app = client.app(states=states)
    assert client.get(app, "/stats.json?window=60").json["functions"][0]["cache"]["calls"] == 3
    assert client.get(app, "/metrics").status == 200
    assert asked == [True, False]


def test_a_window_that_was_not_measured_is_not_invented(client, price):
    """Of a function whose windows nobody told, nothing is said of a window; the others are shown all the same."""
    from pyresilience.metrics.subject import Subject

    def states():
        return [State("here", cache=Subject(price).state().cache), Subject(price).state(detailed=True)]

    def calls(target):
        functions = client.get(client.app(states=states), target).json["functions"]
        return {each["function"] == "here": each["cache"] and each["cache"]["calls"] for each in functions}

    assert calls("/stats.json") == {True: 3, False: 3}
    assert calls("/stats.json?window=60") == {True: None, False: 3}


@pytest.mark.parametrize("path", ["/metrics", "/stats.json", "/cache/stats", "/healthz"])
def test_a_source_that_fails_is_told_without_its_story(client, path, caplog):
    """500 as JSON; what happened stands in the log, and not in the answer."""

    def states():
        raise RuntimeError("the password is hunter2")

    answer = client.get(client.app(states=states), path)
    assert (answer.status, answer.json["code"]) == (500, "INTERNAL_ERROR")
    assert "hunter2" not in answer.text
    assert "hunter2" in caplog.text


def test_metrics_that_functions_share_count_once(client):
    """Functions of one shared cache and one metrics object do not double its figures."""
    cache = ResultCache(CacheConfig(max_size=10, enable_metrics=True))

    @resilient(cache=cache)
    def one(x):
        return x

    @resilient(cache=cache)
    def two(x):
        return x

    for each in (one, two):
        each(1), each(1)
    content = client.get(client.app([one, two]), "/cache/stats").json
    assert (content["cache"]["total_hits"], content["cache"]["misses"]) == (2, 2)


def test_keys_values_and_errors_are_never_shown(client):
    """No argument, no result and no text of an error is in any answer."""

    @resilient(cache=CacheConfig(enable_metrics=True))
    def look(secret):
        if secret == "key-5d41402a":
            return "value-5d41402a"
        raise ValueError(f"error-5d41402a {secret}")

    look("key-5d41402a")
    with pytest.raises(ValueError, match="error-5d41402a"):
        look("key-5d41402a-2")
    app = client.app([look], token="token-5d41402a")
    for path in GETS:
        assert "5d41402a" not in client.get(app, path).text, path
    assert "5d41402a" not in client.post(app, token="token-5d41402a").text


@pytest.mark.parametrize(
    "name",
    [
        '"</script><script>alert(1)</script>',
        "new\nline\r\n",
        "\x1b[2J\x00",
        "\ud800",
        "ünï😀",
        "x" * 10_000,
        "",
        "a\\b\u2028",
    ],
    ids=["html", "lines", "controls", "surrogate", "unicode", "long", "empty", "separators"],
)
def test_hostile_names_break_nothing(client, name):
    """Whatever a function is called, every route answers, and the name comes out as it went in."""

    def odd(x):
        return x

    odd.__qualname__ = odd.__name__ = name
    odd = resilient(cache=CacheConfig(enable_metrics=True))(odd)
    odd(1)
    app = client.app([odd], token="t")
    (function,) = client.get(app, "/stats.json").json["functions"]
    assert function["function"].endswith(name) or name == ""
    assert list(client.get(app, "/cache/stats").json["functions"]) == [function["function"]]
    assert client.get(app, "/metrics").text.count("pyresilience_cache_hits_total{") == 1
    assert client.get(app, "/healthz").status == 200
    assert client.get(app, "/stats.json").body.isascii()
    body = json.dumps({"function": function["function"]}).encode()
    assert client.post(app, token="t", body=body).json["entries_removed"] == 1


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"token": ""}, ValueError, "empty"),
        ({"token": "with space"}, ValueError, "visible ASCII"),
        ({"token": "ünicode"}, ValueError, "visible ASCII"),
        ({"token": b"bytes"}, TypeError, "got bytes"),
        ({"protect": "none"}, ValueError, "'clear' or 'all', got 'none'"),
        ({"protect": "all"}, ValueError, "needs a token"),
        ({"open_circuits": "maybe"}, ValueError, "'ok' or 'fail', got 'maybe'"),
        ({"states": 5}, TypeError, "got 5"),
        ({"functions": [], "states": list}, ValueError, "got both"),
        ({"functions": len}, TypeError, "iterable of decorated functions"),
        ({"functions": 5}, TypeError, "iterable of decorated functions"),
        ({"functions": [len]}, ValueError, "enable_metrics=True"),
    ],
)
def test_wrong_settings_are_refused_when_the_app_is_made(client, settings, error, words):
    """A wrong setting is a clear error at once, and a bad token is not shown in it."""
    with pytest.raises(error, match=words) as caught:
        client.app(**settings)
    assert "with space" not in str(caught.value)
