"""An app that is protected as a whole."""

from __future__ import annotations

import base64

import pytest

TOKEN = "correct-horse"
CLOSED = ["/", "/metrics", "/stats.json", "/cache/stats", "/page/page.css"]


def basic(credentials):
    return "Basic " + base64.b64encode(credentials).decode()


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", basic(b"me:wrong"), basic(b"\xff\xfe"), basic(TOKEN.encode()), "Basic"]
)
def test_a_protected_app_shows_nothing_to_strangers(client, price, path, header):
    """With `protect="all"` looking needs the token; browsers are told that a password will do."""
    headers = {} if header is None else {"Authorization": header}
    for method in ("GET", "HEAD"):
        answer = client(client.app([price], token=TOKEN, protect="all"), method, path, headers=headers)
        assert answer.status == 401
        assert 'Bearer realm="pyresilience"' in answer.headers["www-authenticate"]
        assert "Basic realm=" in answer.headers["www-authenticate"]
        assert b"price" not in answer.body


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", basic(f"me:{TOKEN}".encode()), basic(f":{TOKEN}".encode())])
def test_a_protected_app_is_open_with_the_token(client, price, path, header):
    """The token is taken as Bearer, and as a browser's password whatever the user name."""
    answer = client.get(client.app([price], token=TOKEN, protect="all"), path, headers={"Authorization": header})
    assert answer.status == 200


def test_the_health_of_a_protected_app_is_open_and_names_nobody(client, flaky):
    """Orchestrators have no token: they hear how many circuits are open, and not whose."""
    app = client.app([flaky], token=TOKEN, protect="all", open_circuits="fail")
    answer = client.get(app, "/healthz")
    assert (answer.status, answer.json["open_circuits"]) == (503, 1)
    assert "flaky" not in answer.text
    assert "flaky" in client.get(app, "/healthz", headers={"Authorization": f"Bearer {TOKEN}"}).text


def test_clearing_a_protected_app_takes_no_password(client, price):
    """What a browser adds by itself, to requests that other sites make it send, must not change anything."""
    app = client.app([price], token=TOKEN, protect="all")
    assert client.post(app, headers={"Authorization": basic(f"me:{TOKEN}".encode())}).status == 401
    assert client.post(app, token=TOKEN).json["entries_removed"] == 2


@pytest.mark.parametrize("path", ["/", "/metrics", "/stats.json", "/cache/stats", "/healthz"])
def test_a_token_alone_leaves_looking_free(client, price, path):
    """Unless asked otherwise the token is for clearing."""
    assert client.get(client.app([price], token=TOKEN), path).status == 200
