"""What a client gets when something is wrong, and that only the right party is blamed."""

import json
import threading
import time

import pytest

from http_wire import Client, WireError, wait_until
from sluice import policy


def error_of(response, head_was_read=True):
    """The error document, checked for its shape."""
    assert response.header("content-type").startswith("application/json"), response.headers
    body = json.loads(response.body)
    assert set(body) == {"error"}, body
    error = body["error"]
    assert isinstance(error["code"], str) and error["code"]
    assert isinstance(error["message"], str) and error["message"]
    assert error["request_id"] or not head_was_read
    return error


def test_backend_refuses(sluice, backend):
    b = backend("1.0.0")
    s = sluice(policy("chat", b))
    b.down()
    r = s.request(headers=[("X-Request-Id", "req-7")])
    assert r.status in (502, 503)
    assert error_of(r)["request_id"] == "req-7"
    b.up()
    assert s.request().status == 200  # and it recovers by itself


def test_backend_closes_before_answering(front):
    def handler(request, c):
        c.close_after = True

    s, _ = front(handler)
    r = s.request("POST", "/v1/x", body=b"x")
    assert r.status == 502
    error_of(r)


def test_backend_resets_before_answering(front):
    s, _ = front(lambda request, c: c.reset())
    r = s.request("POST", "/v1/x", body=b"x")
    assert r.status == 502
    error_of(r)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX-Split: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=["not-http", "status", "length", "two-lengths", "nul", "unasked-101"],
)
def test_backend_that_does_not_speak_http(front, answer):
    def handler(request, c):
        c.send(answer)
        time.sleep(0.2)
        c.close_after = True

    s, _ = front(handler)
    r = s.request()
    assert r.status == 502
    error_of(r)


def test_answer_cut_short_is_seen_by_the_client(front):
    """A response that ends early must not look complete."""

    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100)
        c.close_after = True

    s, _ = front(handler)
    with pytest.raises(WireError, match="inside a body"):
        s.request()


def test_chunked_answer_cut_short_is_seen_by_the_client(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        c.close_after = True

    s, _ = front(handler)
    with pytest.raises(WireError):
        s.request()


def test_surplus_bytes_are_nobodys_answer(front):
    """Bytes after an answer must not become the answer to the next client's request."""

    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
               b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    s, _ = front(handler, config={"proxy": {"workers": 1}})
    for _ in range(10):
        assert s.request().body == b"ok"


def test_unmatched_request(front):
    s, b = front(match={"paths": ["/v1/"]})
    r = s.request("GET", "/other")
    assert r.status == 404
    error_of(r)
    assert b.count == 0
    assert s.metrics().value("sluice_unmatched_total") == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["garbage", "0.9", "no-host", "two-hosts", "space-colon", "nul-name", "nul-value", "fold",
         "plus-length", "two-lengths", "huge-length", "chunk-0x", "chunk-data", "te-not-last",
         "empty-authority", "space-target", "tls", "h2-preface"],
)
def test_malformed_requests_are_refused_and_the_connection_closed(front, wire):
    s, b = front()
    with Client(s.port, timeout=15) as c:
        c.send(wire)
        try:
            r = c.response()
            assert 400 <= r.status < 600 and r.status in (400, 411, 413, 414, 431, 501, 505), r.status
            assert not r.keep_alive()
        except WireError:
            pass  # closed without a word: fine for bytes that are no HTTP at all
        assert c.closed_by_peer()
    # A chunk error may be found only after the head went upstream; no complete request may arrive.
    assert not any(r.body == b"hello" for r in b.requests)
    assert s.request().status == 200


def test_content_length_with_transfer_encoding_cannot_smuggle(front):
    s, b = front()
    with Client(s.port, timeout=15) as c:
        c.send(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        r = c.response()
        assert r.status in (200, 400)
        assert c.closed_by_peer()
    assert all(r.target != "/smuggled" for r in b.requests)
    assert all(r.header("content-length") is None for r in b.requests if r.target == "/a")


def test_head_too_large(front):
    s, b = front(config={"proxy": {"workers": 1, "limits": {"head": "16KiB"}}})
    with Client(s.port) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Big: " + b"x" * 20000 + b"\r\n\r\n")
        r = c.response()
        assert r.status == 431
        error_of(r, head_was_read=False)
        assert c.closed_by_peer()
    assert b.count == 0


def test_target_too_large(front):
    s, _ = front()
    with Client(s.port) as c:
        c.send(b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        assert c.response().status in (414, 431)


def test_head_within_the_limit_is_fine(front):
    s, b = front()
    assert s.request(headers=[("X-Big", "x" * 50000)]).status == 200
    assert len(b.requests[-1].header("x-big")) == 50000


def test_body_too_large_by_its_length(front):
    s, b = front(config={"proxy": {"workers": 1, "limits": {"body": "10KiB"}}})
    with Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10241\r\n\r\n")
        r = c.response()
        assert r.status == 413
        error_of(r)
    assert s.request("POST", "/", body=b"x" * 10240).status == 200


def test_body_too_large_in_chunks(front):
    s, b = front(config={"proxy": {"workers": 1, "limits": {"body": "10KiB"}}})
    with Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(20):
                c.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except OSError:
            pass
        assert c.response().status == 413
    assert not any(len(r.body) > 10240 for r in b.requests)
    # The client was at fault: no one else is blamed.
    m = s.metrics()
    assert not m.value("sluice_requests_total", outcome="reset")
    assert not m.value("sluice_requests_total", outcome="5xx")


def test_first_byte_timeout(front):
    def handler(request, c):
        time.sleep(3)
        c.close_after = True

    s, _ = front(handler, upstream={"first_byte_timeout": "300ms"})
    began = time.monotonic()
    r = s.request()
    assert r.status == 504
    error_of(r)
    assert 0.25 < time.monotonic() - began < 2.5
    wait_until(lambda: s.metrics().value("sluice_requests_total", outcome="timeout") == 1, 5,
               "the timeout is counted")


def test_silence_inside_an_answer(front):
    release = threading.Event()

    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        release.wait(10)
        c.close_after = True

    s, _ = front(handler, upstream={"idle_timeout": "300ms"})
    with pytest.raises(WireError):
        s.request()
    release.set()
    wait_until(lambda: s.metrics().value("sluice_requests_total", outcome="stalled") == 1, 5,
               "the stall is counted")


def test_total_timeout(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(60):
                c.send(b"1\r\nx\r\n")
                time.sleep(0.05)
        finally:
            c.close_after = True

    s, _ = front(handler, upstream={
        "connect_timeout": "500ms", "first_byte_timeout": "500ms", "total_timeout": "600ms",
    })
    began = time.monotonic()
    with pytest.raises(WireError):
        s.request()
    assert time.monotonic() - began < 2.5


def test_slow_head_is_cut_off(front):
    s, b = front(config={"proxy": {"workers": 1, "limits": {"header_timeout": "500ms"}}})
    with Client(s.port) as c:
        c.send(b"GET / HTTP/1.1\r\nHo")
        began = time.monotonic()
        try:
            assert c.response().status == 408
        except WireError:
            pass
        assert time.monotonic() - began < 5
    assert b.count == 0


def test_idle_connection_is_closed(front):
    s, _ = front(config={"proxy": {"workers": 1, "limits": {"idle_timeout": "400ms"}}})
    with Client(s.port) as c:
        assert c.request("GET", "/").status == 200
        assert c.closed_by_peer(within=5)


def test_connect_method_is_refused(front):
    s, b = front()
    with Client(s.port) as c:
        c.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        assert 400 <= c.response().status < 600
    assert b.count == 0


def test_errors_of_clients_are_not_charged_to_a_version(front):
    s, b = front(match={"paths": ["/v1/"]})
    for wire in (b"GARBAGE\r\n\r\n", b"GET /v1/ HTTP/1.1\r\n\r\n", b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n"):
        with Client(s.port) as c:
            c.send(wire)
            c.closed_by_peer()
    assert not s.metrics().value("sluice_requests_total")


def test_connection_limit(front):
    s, _ = front(config={"proxy": {"workers": 1, "limits": {"connections": 5}}})
    clients = []
    try:
        for _ in range(5):
            clients.append(Client(s.port))
            assert clients[-1].request("GET", "/").status == 200
        with Client(s.port) as c:
            try:
                c.send_request("GET", "/")
                r = c.response()
                assert r.status == 503
            except (WireError, OSError):
                pass
        clients.pop().close()

        def admitted():
            try:
                return s.request().status == 200
            except (WireError, OSError):
                return False

        wait_until(admitted, 5, "room again after one left")
    finally:
        for c in clients:
            c.close()
