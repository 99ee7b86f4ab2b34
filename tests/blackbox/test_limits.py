"""Each limit has a key, an answer of its own, and costs only whom it concerns. (Bodies, heads and
times that are too large or long without a key of their own: test_errors and test_slow_and_many.)"""

import json
import signal
import socket
import threading
import time

import pytest

from http_wire import Client, wait_until
from sluice import policy


def limits(**keys):
    return {"proxy": {"workers": 1, "limits": keys}}


def code(response):
    return json.loads(response.body)["error"]["code"]


def test_requests_per_connection(front):
    s, _ = front(config=limits(requests=3))
    with Client(s.port) as c:
        kept = [c.request("GET", "/v1/x").keep_alive() for _ in range(3)]
        assert kept == [True, True, False]
        assert c.closed_by_peer(5)
    assert s.request().status == 200


def test_requests_per_connection_count_errors_too(front):
    s, _ = front(config=limits(requests=2), match={"paths": ["/v1/"]})
    with Client(s.port) as c:
        assert c.request("GET", "/none").keep_alive()
        assert not c.request("GET", "/none").keep_alive()
        assert c.closed_by_peer(5)


def test_header_count(front):
    s, b = front(config=limits(headers=20))
    fields = [(f"X-{n}", "1") for n in range(19)]  # and Host
    assert s.request(headers=fields).status == 200
    with Client(s.port) as c:
        c.send_request("GET", "/v1/x", fields + [("X-Last", "1")])
        r = c.response()
        assert (r.status, code(r)) == (431, "head_too_large")
        assert c.closed_by_peer(5)
    assert b.count == 1


def test_head_bytes_are_the_whole_heads(front):
    s, _ = front(config=limits(head="2KiB"))
    assert s.request(headers=[("X", "y" * 1500)]).status == 200
    for fields in ([("X", "y" * 3000)], [(f"X-{n}", "y" * 100) for n in range(30)]):
        with Client(s.port) as c:
            c.send_request("GET", "/v1/x", fields)
            assert c.response().status == 431


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_body_bytes(front, chunked):
    s, b = front(config=limits(body="10KiB"))
    most = b"x" * 10240
    assert s.request("POST", "/", body=[most] if chunked else most).status == 200
    with Client(s.port) as c:
        try:
            c.send_request("POST", "/", body=[most, b"x"] if chunked else most + b"x")
        except OSError:
            pass
        r = c.response()
        assert (r.status, code(r)) == (413, "body_too_large")
        if r.keep_alive():  # the whole body was read
            assert c.request("GET", "/").status == 200
        else:
            assert c.closed_by_peer(5)
    assert max(len(r.body) for r in b.requests) == 10240  # nothing larger arrived whole
    assert not set(s.attempts()) - {"ok", "client_abort"}


def test_body_timeout_is_for_silence_inside_a_body(front):
    """408 with the request's id; the version that waited is not charged."""
    s, b = front(config=limits(body_timeout="500ms"))
    with Client(s.port) as c:
        c.send(b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nX-Request-Id: me\r\n\r\nhello")
        began = time.monotonic()
        r = c.response()
        assert 0.4 < time.monotonic() - began < 2.5
        assert (r.status, code(r)) == (408, "request_timeout")
        assert json.loads(r.body)["error"]["request_id"] == "me"
        assert c.closed_by_peer(5)
    assert b.count == 0
    assert not set(s.attempts()) - {"client_abort"}
    assert s.results() == {"rejected": 1}


def test_a_body_at_a_trickle_is_not_silent(front):
    s, _ = front(config=limits(body_timeout="500ms"))
    with Client(s.port) as c:
        c.send(b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            time.sleep(0.25)
            c.send(b"x")
        assert c.response().status == 200


def test_expect_without_a_body_does_not_hang(front):
    """A client that waits for a 100 that never comes, and gives up: nothing is left."""

    def handler(request, c):
        c.sock.recv(1)
        c.close_after = True

    s, _ = front(handler, read_bodies=False, config=limits(body_timeout="500ms"))
    with Client(s.port) as c:
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert c.response().status in (408, 502, 504)
    wait_until(lambda: s.metrics().value("sluice_requests_active") == 0, 5, "gone")


def test_what_each_refusal_says(front):
    """A JSON error with a code, a sentence and the request's id; 503 with Retry-After."""
    s, _ = front(config=limits(head="4KiB", body="1KiB"), match={"paths": ["/v1/"]})
    cases = [
        (("GET", "/none", [("X-Request-Id", "id-1")], None), 404, "no_rollout"),
        (("POST", "/v1/x", [("X-Request-Id", "id-1")], b"x" * 2000), 413, "body_too_large"),
    ]
    for (method, target, fields, body), status, name in cases:
        r = s.request(method, target, fields, body)
        error = json.loads(r.body)["error"]
        assert (r.status, error["code"], error["request_id"]) == (status, name, "id-1")
        assert r.header("x-request-id") == "id-1"
        assert r.header("content-type").startswith("application/json")
        assert r.header("cache-control") == "no-store"


def test_health_path_is_answered_by_the_proxy_itself(front):
    s, b = front(config={"proxy": {"health_path": "/-/ready", "workers": 1}})
    for method in ("GET", "HEAD"):
        assert s.request(method, "/-/ready").status == 200
    assert b.count == 0
    assert s.request("POST", "/-/ready", body=b"x").status == 200  # a model's own affair
    assert b.count == 1
    assert sum(s.attempts().values()) == 1


def test_health_path_fails_before_the_listeners_close(sluice, backend):
    """A load balancer sees it in time: connections are taken all through drain_delay."""
    s = sluice(policy("chat", backend("1.0.0")), config={"proxy": {
        "health_path": "/-/ready", "drain_delay": "1500ms"}})
    with Client(s.port) as c:
        assert c.request("GET", "/-/ready").status == 200
    s.process.send_signal(signal.SIGTERM)
    wait_until(lambda: s.request("GET", "/-/ready").status == 503, 5, "not ready")
    assert s.request("GET", "/v1/x").status == 200  # still served
    assert s.process.wait(20) == 0


def test_drain_timeout_ends_what_does_not_end(sluice, backend):
    started = threading.Event()

    def handler(request, c):
        started.set()
        c.sock.recv(1)
        c.close_after = True

    s = sluice(policy("chat", backend("1.0.0", handler)), config={"proxy": {
        "drain_timeout": "1s"}})
    with Client(s.port) as c:
        c.send_request("GET", "/v1/x")
        assert started.wait(5)
        began = time.monotonic()
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(20) == 0
        assert 0.8 < time.monotonic() - began < 5


def test_a_second_signal_ends_at_once(sluice, backend):
    started = threading.Event()

    def handler(request, c):
        started.set()
        c.sock.recv(1)
        c.close_after = True

    s = sluice(policy("chat", backend("1.0.0", handler)))
    with Client(s.port) as c:
        c.send_request("GET", "/v1/x")
        assert started.wait(5)
        s.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "run.draining" in s.log(), 5, "the drain")
        began = time.monotonic()
        s.process.send_signal(signal.SIGTERM)
        s.process.wait(20)
        assert time.monotonic() - began < 3


def test_retry_after_says_when_to_come_again(front):
    go = threading.Event()

    def handler(request, c):
        go.wait(10)
        c.reply(200, b"ok")

    s, b = front(handler, upstream={"max_requests": 1, "queue": {"max": 0}})
    with Client(s.port) as first:
        first.send_request("GET", "/v1/x")
        wait_until(lambda: b.count == 1, 5, "in flight")
        r = s.request()
        assert (r.status, code(r)) == (503, "queue_full")
        assert int(r.header("retry-after")) >= 1
        go.set()
        assert first.response().status == 200


def test_a_half_closed_slow_head_is_closed(front):
    s, _ = front()
    with Client(s.port) as c:
        c.send(b"GET / HTTP/1.1\r\nHo")
        c.sock.shutdown(socket.SHUT_WR)
        assert c.closed_by_peer(5)
