"""The server: it answers, whatever its clients do."""

import gc
import socket
import threading
import time
from pathlib import Path

import pytest

from pyresilience.http import conversation
from pyresilience.http.conversation import Conversation, Visit
from pyresilience.http.server import Limits, Server


def app(environ, start_response):
    """Answers with its method, path and body."""
    body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


@pytest.fixture
def serve():
    """Start servers that are stopped at the end."""
    servers = []

    def serve(app=app, **settings):
        limits = Limits(**settings.pop("limits", {}))
        servers.append(Server(app, limits=limits, **settings))
        servers[-1].start()
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture
def dial():
    """Open connections that are closed at the end."""
    with_end = []

    def dial(server, say=b""):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        with_end.append(client)
        client.sendall(say)
        return client

    yield dial
    for client in with_end:
        client.close()


@pytest.fixture
def patient(monkeypatch):
    """A server that stops gives the answers under way as long as they take."""
    monkeypatch.setattr("pyresilience.http.server.GRACE", 20.0)


def heard(client):
    """All that a server says on a connection until it closes it."""
    said = b""
    try:
        while more := client.recv(65536):
            said += more
    except ConnectionResetError:
        pass
    return said


def test_it_answers_with_what_the_application_says(serve, fetch):
    """Method, path and body reach the application; its status, headers and body reach the client."""
    server = serve()
    reply = fetch(f"{server.url}/a%20b", "POST", body=b"hello")
    assert (reply.status, reply.text, reply.content_type) == (200, "POST /a b hello", "text/plain")
    assert "Python" not in reply.headers["Server"]


def test_head_has_headers_and_no_body(serve, fetch):
    """An answer to HEAD has a length and no body."""
    reply = fetch(f"{serve().url}/x", "HEAD")
    assert (reply.status, reply.headers["Content-Length"], reply.body) == (200, "8", b"")


def test_port_0_is_picked_by_the_system(serve):
    """`port` and `url` tell which it was."""
    server = serve()
    assert server.port > 0
    assert server.url == f"http://127.0.0.1:{server.port}"


def test_ipv6(serve, fetch):
    """A host may be an IPv6 address."""
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    server = serve(host="::1")
    assert server.url == f"http://[::1]:{server.port}"
    assert fetch(f"{server.url}/six").text == "GET /six "


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_the_url_of_a_server_on_all_addresses_is_one_that_can_be_opened(serve, fetch, host):
    """It names this machine."""
    server = serve(host=host)
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert fetch(server.url).status == 200


def test_start_and_stop_may_be_repeated(serve, fetch):
    """Starting twice is starting once, so is stopping, and a stopped server starts again on the same port."""
    server = serve()
    port = server.port
    server.start()
    assert server.port == port
    server.stop()
    server.stop()
    assert not server.running
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=20)
    again = Server(app, port=port)
    with again:
        assert fetch(again.url).status == 200
        assert again.port == port
    with again:
        assert fetch(again.url).status == 200


def test_no_thread_and_no_socket_remains(serve, fetch, dial):
    """After stop every thread has ended and every connection is closed, silent ones included."""
    before = set(threading.enumerate())
    server = serve()
    silent = dial(server)
    fetch(server.url)
    server.stop()
    assert set(threading.enumerate()) <= before
    assert heard(silent) == b""
    del server
    gc.collect()  # an open socket would be a ResourceWarning, which is an error


@pytest.mark.usefixtures("patient")
def test_stop_waits_for_the_thread_of_a_client_that_has_all_it_asked_for(serve, fetch, monkeypatch):
    """Its visit is over, and its place free, a moment before its thread is."""
    before, close = set(threading.enumerate()), Visit.close

    def slowly(visit):
        threading.Event().wait(0.05)
        close(visit)

    monkeypatch.setattr(Visit, "close", slowly)
    server = serve()
    assert fetch(f"{server.url}/all").text == "GET /all "
    server.stop()
    assert set(threading.enumerate()) <= before


@pytest.mark.usefixtures("patient")
def test_stop_lets_an_answer_be_finished(serve, dial, until):
    """What the application is about to say is still said."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(environ, start_response):
        entered.set()
        assert go_on.wait(20)
        return app(environ, start_response)

    server = serve(slow)
    client = dial(server, b"GET /late HTTP/1.1\r\n\r\n")
    assert entered.wait(20)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    until(lambda: not server.running)
    go_on.set()
    assert heard(client).endswith(b"GET /late ")
    stopping.join()


@pytest.mark.parametrize("due", [True, False])
def test_no_answer_begins_while_it_is_decided_whether_the_client_is_seen_out(due):
    """Else a server that stops would let go of a client that asks, and cut the answer that has begun since."""
    client, server = socket.socketpair()
    visit, said = Visit(server, None, 20), []

    def answer():
        try:
            visit.turn("working", 20)
            server.sendall(b"all of it")
        except ConnectionAbortedError as error:
            said.append(str(error))
        visit.close()

    def is_due(visit):
        answering.start()
        answering.join(0.05)
        return due and visit.phase == "asking"

    answering = threading.Thread(target=answer)
    with client:
        assert visit.end_if(is_due) is due
        answering.join()
        assert heard(client) == (b"" if due else b"all of it")
    assert said == (["the client was seen out"] if due else [])


def test_the_application_may_stop_the_server(serve, fetch):
    """`stop()` works in the thread that answers."""

    def last(environ, start_response):
        server.stop()
        return app(environ, start_response)

    server = serve(last)
    assert fetch(f"{server.url}/bye").text == "GET /bye "
    assert not server.running


def test_a_taken_port_is_told_with_what_to_do(serve):
    """The error is an OSError that names the port and a way out."""
    taken = serve()
    with pytest.raises(OSError, match=f"port {taken.port}: .*choose another, or 0") as caught:
        Server(app, port=taken.port).start()
    assert caught.value.errno


def test_an_address_of_another_machine_is_told(serve):
    """The error says that the address is not ours."""
    with pytest.raises(OSError, match="does not have the address"):
        Server(app, host="192.0.2.1").start()


def test_a_host_that_does_not_exist_is_told():
    """The error names the host."""
    with pytest.raises(OSError, match="cannot listen on 'no host'"):
        Server(app, host="no host").start()


@pytest.mark.parametrize("port", [-1, 65536, "80", None, True, 1.0])
def test_a_port_is_a_port(port):
    """Anything else is refused when the server is made."""
    with pytest.raises(ValueError, match="port must be"):
        Server(app, port=port)


def test_silent_clients_hold_nobody_up(serve, fetch, dial):
    """With 200 clients that connect and say nothing, or half a line, a request is answered at once."""
    server = serve(limits={"request_seconds": 3600})  # nobody is seen out for being late
    silent = [dial(server, b"GET /metr" * (place % 2)) for place in range(200)]
    assert fetch(f"{server.url}/through").text == "GET /through "
    assert threading.active_count() < 200
    assert len(silent) == 200


def test_clients_that_do_not_read_hold_nobody_up(serve, fetch, dial):
    """With 200 clients that ask for much and read nothing, a request is answered."""
    much = b"x" * 8_000_000

    def large(environ, start_response):
        start_response("200 OK", [])
        return [much if environ["PATH_INFO"] == "/much" else b"little"]

    server = serve(large, limits={"connections": 20})
    deaf = [dial(server, b"GET /much HTTP/1.1\r\n\r\n") for _ in range(200)]
    assert fetch(f"{server.url}/little").text == "little"
    assert len(deaf) == 200


def test_a_client_that_trickles_is_seen_out(serve, dial):
    """One byte after another does not win time: the whole request has one deadline."""
    server = serve(limits={"request_seconds": 0.3})
    client = dial(server)
    client.settimeout(0.02)
    began = time.monotonic()
    with pytest.raises(OSError):
        while True:
            assert time.monotonic() - began < 20
            client.sendall(b"G")
            try:
                assert client.recv(1) == b""
                raise ConnectionError("closed")
            except TimeoutError:
                pass


def test_a_body_that_does_not_come_is_not_waited_for(serve, dial):
    """The deadline of a request counts its body."""
    server = serve(limits={"request_seconds": 0.2})
    assert heard(dial(server, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")) == b""


def test_an_answer_that_is_not_read_has_an_end(serve, dial, until):
    """A client that does not read is seen out when the answer's time is over."""
    begun = threading.Event()

    def endless(environ, start_response):
        start_response("200 OK", [])
        begun.set()
        while True:
            yield b"x" * 65536

    server = serve(endless, limits={"answer_seconds": 0.3})
    dial(server, b"GET / HTTP/1.1\r\n\r\n")
    assert begun.wait(20)
    until(lambda: not server._open._visits)


def test_when_all_places_are_at_work_the_next_is_told_to_come_again(serve, dial, fetch):
    """Nobody is cut off for whom the application works: the newcomer gets 503 at once."""
    inside, go_on = threading.Semaphore(0), threading.Event()

    def slow(environ, start_response):
        inside.release()
        assert go_on.wait(20)
        return app(environ, start_response)

    server = serve(slow, limits={"connections": 2})
    waiting = [dial(server, b"GET /1 HTTP/1.1\r\n\r\n") for _ in range(2)]
    assert all(inside.acquire(timeout=20) for _ in waiting)
    assert heard(dial(server)).startswith(b"HTTP/1.0 503 ")
    go_on.set()
    assert all(heard(each).endswith(b"GET /1 ") for each in waiting)
    assert fetch(server.url).status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: %s\r\n" % (n, b"b" * 1000) for n in range(60)) + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 100_000, 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET / HTTP/9.1\r\n\r\n", 505),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
    ],
)
def test_requests_that_cannot_be_right_are_refused(serve, dial, fetch, request_, status):
    """Each is answered with its status, although the client says more than is heard; the next one is served."""
    server = serve()
    client = dial(server)
    try:
        client.sendall(request_)
    except OSError:
        pass
    assert b" %d " % status in heard(client).split(b"\r\n")[0]
    assert fetch(server.url).status == 200


def test_a_refusal_is_heard_however_slowly_it_is_written(serve, dial, monkeypatch):
    """The moment that a refused client may go on talking begins when it has been told so."""
    send = Conversation.end_headers

    def slowly(conversation):
        threading.Event().wait(0.05)
        send(conversation)

    monkeypatch.setattr("pyresilience.http.server.TICK", 0.005)
    monkeypatch.setattr(conversation, "LINGER", 0.005)
    monkeypatch.setattr(Conversation, "end_headers", slowly)
    assert b" 400 " in heard(dial(serve(), b"nonsense\r\n\r\n")).split(b"\r\n")[0]


def test_an_error_of_the_application_is_logged_and_answered(serve, fetch, caplog, capfd):
    """The client gets 500, the log the error, and the terminal nothing."""

    def broken(environ, start_response):
        raise LookupError("secret")

    reply = fetch(serve(broken).url)
    assert reply.status == 500
    assert "secret" not in reply.text
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]
    assert "secret" not in capfd.readouterr().err or caplog.records


@pytest.mark.usefixtures("patient")
def test_requests_and_rude_clients_are_not_worth_a_line(serve, fetch, dial, capfd, caplog):
    """Neither a request nor a client that goes away prints or logs anything."""
    server = serve()
    fetch(server.url)
    for words in (b"", b"GET", b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\r\n\r\n"):
        dial(server, words).close()
    server.stop()
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_the_environment_of_the_process_is_not_the_requests(serve, fetch, monkeypatch):
    """A variable of the process cannot pass for a header or for HTTPS."""
    monkeypatch.setenv("HTTPS", "on")
    monkeypatch.setenv("HTTP_X_USER", "root")

    def tell(environ, start_response):
        start_response("200 OK", [])
        return [f"{environ['wsgi.url_scheme']} {'HTTP_X_USER' in environ} {environ['wsgi.multithread']}".encode()]

    assert fetch(serve(tell).url).text == "http False True"


def test_many_at_once(serve, fetch):
    """Requests of many threads are all answered."""
    server = serve()
    answers = []
    clients = [threading.Thread(target=lambda n=n: answers.append(fetch(f"{server.url}/{n}").text)) for n in range(40)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert sorted(answers) == sorted(f"GET /{n} " for n in range(40))


def test_a_forked_child_lets_go_of_the_port(script):
    """The child's server is stopped and holds no socket; it can start its own; the parent's goes on."""
    lines = script("""
        import os, socket, time, urllib.request
        from pyresilience.http.server import Server
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        server = Server(app)
        server.start()
        port = server.port
        silent = socket.create_connection(("127.0.0.1", port))
        while not server._open._visits:
            time.sleep(0.001)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            before = server.running
            sockets = [n for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")
                       and "socket" in os.readlink(f"/proc/self/fd/{n}")]
            server.start()
            mine = urllib.request.urlopen(server.url).read()
            os.write(write, f"{before} {len(sockets)} {mine.decode()} {server.port != port}".encode())
            server.stop()
            os._exit(0)
        os.waitpid(child, 0)
        print(os.read(read, 99).decode())
        print(urllib.request.urlopen(server.url).read().decode())
        server.stop()
        again = Server(app, port=port)
        again.start()
        print(again.port == port)
        again.stop()
        silent.close()
    """)
    assert lines == ["False", "1", "ok", "True", "ok", "True"]  # the one socket is the silent client's own


def test_it_does_not_keep_the_interpreter(script):
    """A program ends although its server runs, holds a silent client, and was never stopped."""
    assert script("""
        import socket
        from pyresilience.http.server import Server
        server = Server(None)
        server.start()
        silent = socket.create_connection(("127.0.0.1", server.port))
        print("end")
    """) == ["end"]


def test_too_many_open_files_are_survived(script):
    """When no file can be opened any more, silent clients make room, and requests are answered."""
    lines = script("""
        import os, resource, socket
        from pyresilience.http.server import Server
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        server = Server(app)
        server.start()
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        while len(server._open._visits) < 20:
            pass
        late = socket.socket()
        most = os.dup(0)
        os.close(most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        late.settimeout(20)
        late.connect(("127.0.0.1", server.port))
        late.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        said = b""
        while more := late.recv(99):
            said += more
        print(said[-2:].decode())
        server.stop()
    """)
    assert lines == ["ok"]
