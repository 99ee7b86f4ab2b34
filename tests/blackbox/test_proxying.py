"""Bytes go through unchanged, whatever the framing, and connections are reused on both sides."""

import hashlib
import os
import socket
import subprocess
import threading
import time

import pytest

from http_wire import Client, wait_until
from sluice import policy

BIG = os.urandom(1 << 20) * 20  # 20 MiB


def test_get_answer_is_passed_on(front):
    def handler(request, c):
        c.reply(200, b'{"ok":true}', [("Content-Type", "application/json"), ("X-Own", "a, b")])

    s, b = front(handler)
    r = s.request("GET", "/v1/models?limit=2&after=%2Fx")
    assert (r.status, r.body) == (200, b'{"ok":true}')
    assert r.header("content-type") == "application/json"
    assert r.header("x-own") == "a, b"
    assert b.requests[-1].target == "/v1/models?limit=2&after=%2Fx"
    assert b.requests[-1].method == "GET"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_with_bodies(front, method):
    s, b = front(lambda request, c: c.reply(200, request.body[::-1]))
    r = s.request(method, "/v1/x", body=b"prompt")
    assert r.body == b"tpmorp"
    assert b.requests[-1].method == method
    assert b.requests[-1].header("content-length") == "6"


def test_empty_post_body(front):
    s, b = front()
    assert s.request("POST", "/v1/x", body=b"").status == 200
    assert b.requests[-1].header("content-length") == "0"


def test_chunked_upload(front):
    s, b = front(lambda request, c: c.reply(200, request.body))
    parts = [b"a" * n for n in (1, 7, 1000, 70000, 3)]
    r = s.request("POST", "/v1/x", body=parts)
    assert r.body == b"".join(parts)
    assert b.requests[-1].header("transfer-encoding") == "chunked"
    assert b.requests[-1].header("content-length") is None


def test_chunked_upload_in_slow_pieces(front):
    s, b = front(lambda request, c: c.reply(200, request.body))
    wire = (
        b"POST /v1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;note=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"
    )
    with Client(s.port) as c:
        for i in range(0, len(wire), 3):
            c.send(wire[i : i + 3])
            time.sleep(0.001)
        assert c.response().body == b"hello world"


def test_chunked_answer(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b"one", b"two" * 5000, b"three"):
            c.send(b"%x\r\n%s\r\n" % (len(part), part))
        c.send(b"0\r\n\r\n")

    s, _ = front(handler)
    with Client(s.port) as c:
        for _ in range(3):  # on one connection: the end was found
            r = c.request("GET", "/")
            assert r.header("transfer-encoding") == "chunked"
            assert r.body == b"one" + b"two" * 5000 + b"three"


def test_answer_that_ends_with_the_connection(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 100000)
        c.close_after = True

    s, _ = front(handler)
    assert s.request().body == b"x" * 100000


def test_head_has_the_length_and_no_body(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")

    s, b = front(handler)
    with Client(s.port) as c:
        for _ in range(2):
            r = c.request("HEAD", "/v1/models")
            assert (r.status, r.header("content-length")) == (200, "1234")
    assert b.requests[-1].method == "HEAD"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(front, status):
    def handler(request, c):
        c.send(f"HTTP/1.1 {status} X\r\nETag: \"1\"\r\n\r\n".encode())

    s, b = front(handler)
    with Client(s.port) as c:
        for _ in range(3):
            r = c.request("GET", "/")
            assert (r.status, r.body, r.header("etag")) == (status, b"", '"1"')
    assert b.connections == 1


@pytest.mark.parametrize("status", [201, 301, 400, 401, 404, 422, 429, 500, 503])
def test_every_status_of_the_backend_is_the_clients(front, status):
    s, _ = front(lambda request, c: c.reply(status, b"why", [("Retry-After", "7")]))
    r = s.request()
    assert (r.status, r.body, r.header("retry-after")) == (status, b"why", "7")


def test_20_mib_up(front):
    s, _ = front(lambda request, c: c.reply(200, hashlib.sha256(request.body).hexdigest().encode()))
    assert s.request("POST", "/", body=BIG).body.decode() == hashlib.sha256(BIG).hexdigest()


def test_20_mib_up_chunked(front):
    s, _ = front(lambda request, c: c.reply(200, hashlib.sha256(request.body).hexdigest().encode()))
    parts = [BIG[i : i + 300001] for i in range(0, len(BIG), 300001)]
    assert s.request("POST", "/", body=parts).body.decode() == hashlib.sha256(BIG).hexdigest()


def test_20_mib_down(front):
    s, _ = front(lambda request, c: c.reply(200, BIG))
    r = s.request()
    assert r.header("content-length") == str(len(BIG))
    assert r.body == BIG


def test_20_mib_both_ways_at_once(front):
    """A backend that answers while it reads, and a client that reads while it sends."""

    def handler(request, c):
        left = int(request.header("content-length"))
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
        while left > 0:
            data = c.reader.exactly(min(left, 1 << 16))
            c.send(data)
            left -= len(data)

    s, _ = front(handler, read_bodies=False)
    with Client(s.port) as c:
        sender = threading.Thread(target=c.send_request, args=("POST", "/"), kwargs={"body": BIG})
        sender.start()
        r = c.response()
        sender.join()
    assert r.body == BIG


SSE = [
    b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"Gr\xc3\xbc\xc3\x9f"}}]}\r\n\r\n',
    b": a comment\n\n",
    b"event: ping\ndata:\n\n",
    b"data: [DONE]\n\n",
]


def test_server_sent_events_byte_for_byte_and_at_once(front):
    go = threading.Event()

    def handler(request, c):
        c.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        c.send(b"%x\r\n%s\r\n" % (len(SSE[0]), SSE[0]))
        assert go.wait(10)
        for event in SSE[1:]:
            c.send(b"%x\r\n%s\r\n" % (len(event), event))
        c.send(b"0\r\n\r\n")

    s, _ = front(handler)
    with Client(s.port) as c:
        c.send_request("POST", "/v1/chat/completions", body=b'{"stream":true}')
        head = c.reader.head()
        assert head.header("content-type") == "text/event-stream"
        # The first event is here while the backend still waits to send the second.
        assert c.reader.chunk() == SSE[0]
        go.set()
        rest = b""
        while True:
            data = c.reader.chunk()
            if not data:
                break
            rest += data
        assert rest == b"".join(SSE[1:])
        assert c.reader.until(b"\r\n") == b""
        assert c.request("HEAD", "/").status == 200  # the connection lives on


def test_clients_connection_is_kept(front):
    s, b = front()
    with Client(s.port) as c:
        for i in range(50):
            r = c.request("POST", "/v1/x", body=b"x" * i)
            assert r.status == 200
            assert r.keep_alive()


def test_upstream_connections_are_reused(front):
    s, b = front(config={"proxy": {"workers": 1}})
    for _ in range(50):  # a client connection each, one after the other
        assert s.request("POST", "/v1/x", body=b"x").status == 200
    assert b.connections <= 2


def test_reused_connection_that_the_backend_closed_costs_no_request(front):
    """A backend may close an idle connection at any time; a client must not notice."""

    def handler(request, c):
        c.reply(200, b"ok")
        c.close_after = True  # without having said Connection: close

    s, b = front(handler, config={"proxy": {"workers": 1}})
    with Client(s.port) as c:
        for _ in range(20):
            assert c.request("GET", "/").status == 200
            wait_until(lambda: not b.open, 5, "the backend's end is closed")
            time.sleep(0.02)  # the FIN is on its way


def test_backend_that_says_close_is_believed(front):
    s, b = front(lambda request, c: c.reply(200, b"ok", [("Connection", "close")]))
    with Client(s.port) as c:
        for _ in range(5):
            r = c.request("GET", "/")
            assert r.status == 200
            assert r.keep_alive()  # that was between sluice and the backend
    assert b.connections == 5


def test_http_1_0_client(front):
    s, b = front(lambda request, c: c.reply(200, b"old"))
    with Client(s.port) as c:
        c.send(b"GET /v1/x HTTP/1.0\r\nHost: h\r\n\r\n")
        r = c.response()
        assert (r.status, r.body) == (200, b"old")
        assert c.closed_by_peer()
    assert b.requests[-1].version == "HTTP/1.1"


def test_http_1_0_client_gets_a_chunked_answer_unchunked(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    s, _ = front(handler)
    with Client(s.port) as c:
        c.send(b"GET /v1/x HTTP/1.0\r\nHost: h\r\n\r\n")
        r = c.response()
        assert r.header("transfer-encoding") is None
        assert r.body == b"abc"


def test_connection_close_is_honoured(front):
    s, _ = front()
    with Client(s.port) as c:
        r = c.request("GET", "/", [("Connection", "close")])
        assert r.status == 200
        assert not r.keep_alive()
        assert c.closed_by_peer()


def test_pipelined_requests_are_answered_in_order(front):
    def handler(request, c):
        if request.target == "/0":
            time.sleep(0.2)
        c.reply(200, request.target.encode())

    s, _ = front(handler)
    with Client(s.port) as c:
        c.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(10)))
        assert [c.response().body for _ in range(10)] == [b"/%d" % i for i in range(10)]


def test_half_closed_client_still_gets_its_answer(front):
    def handler(request, c):
        time.sleep(0.3)
        c.reply(200, b"late")

    s, _ = front(handler)
    with Client(s.port) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        c.sock.shutdown(socket.SHUT_WR)
        assert c.response().body == b"late"


def test_expect_100_continue_of_the_backend_is_passed_on(front):
    def handler(request, c):
        assert request.header("expect") == "100-continue"
        c.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        c.reader.body(request)
        c.reply(200, request.body)

    s, _ = front(handler, read_bodies=False)
    with Client(s.port) as c:
        c.send(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        c.sock.settimeout(10)
        first = c.reader.head()
        assert first.status == 100
        c.send(b"body")
        assert c.response().body == b"body"


def test_expect_100_continue_may_be_answered_with_a_refusal(front):
    """The client then never sends its body, and nothing waits for it."""

    def handler(request, c):
        c.reply(403, b"no", [("Connection", "close")])
        c.close_after = True

    s, _ = front(handler, read_bodies=False)
    with Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        r = c.response()
        assert (r.status, r.body) == (403, b"no")
    assert s.request("GET", "/").status == 403  # sluice goes on


def test_interim_answers_are_not_taken_as_final(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        c.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        c.reply(200, b"final")

    s, _ = front(handler)
    with Client(s.port) as c:
        for _ in range(3):
            assert c.request("GET", "/").body == b"final"


def test_many_clients_at_once(front):
    s, b = front(lambda request, c: c.reply(200, request.body))
    wrong = []

    def one(n):
        with Client(s.port) as c:
            for i in range(20):
                body = b"%d-%d-" % (n, i) * (1 + i * 50)
                if c.request("POST", "/", body=body).body != body:
                    wrong.append((n, i))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert b.count == 800


def test_early_answer_while_the_body_still_comes(front):
    """A backend that refuses without reading: the client gets the answer, not a reset."""

    def handler(request, c):
        c.reply(403, b"no")
        c.close_after = True

    s, _ = front(handler, read_bodies=False)
    with Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)
        r = c.response()
        assert (r.status, r.body) == (403, b"no")


def test_every_upstream_endpoint_gets_its_share(sluice, backend):
    endpoints = [backend("1.0.0") for _ in range(3)]
    s = sluice(policy("chat", endpoints))
    with Client(s.port) as c:
        for _ in range(300):
            assert c.request("GET", "/").status == 200
    assert all(b.count > 60 for b in endpoints), [b.count for b in endpoints]


def test_curl_agrees(front, tmp_path):
    """Somebody else's client, keep-alive and chunked upload included."""
    s, _ = front(lambda request, c: c.reply(200, request.body))
    data = tmp_path / "data"
    data.write_bytes(BIG[:3000000])
    url = f"http://127.0.0.1:{s.port}/v1/x"
    out = subprocess.run(
        ["curl", "-sS", "--fail", "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{data}",
         url, "--next", "-sS", "--fail", "--data-binary", "two", url],
        capture_output=True, timeout=60, check=True,
    )
    assert out.stdout == BIG[:3000000] + b"two"
