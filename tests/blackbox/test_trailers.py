"""Trailers pass on both ways where the other side can take them, are never merged into a head, and
bring nothing that a head must decide (RFC 9110, 6.5)."""

import pytest

from http_wire import Client, WireError, wait_until


# A client that takes trailers (RFC 9110, 10.1.4).
WANTED = [("TE", "trailers"), ("Connection", "TE")]


def send_chunked(c, trailers, fields=b"", body=b"5\r\nhello\r\n", version=b"1.1"):
    c.send(b"POST /v1/x HTTP/%s\r\nHost: h\r\nTransfer-Encoding: chunked\r\n%s\r\n%s0\r\n%s\r\n"
           % (version, fields, body, trailers))


def chunked_answer(trailers, fields=b""):
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + fields +
            b"\r\n5\r\nhello\r\n0\r\n" + trailers + b"\r\n")


def test_a_requests_trailers_reach_the_backend(front):
    s, b = front()
    with Client(s.port) as c:
        send_chunked(c, b"X-Checksum: abc\r\nX-Empty:\r\nX-Checksum:  def \r\n")
        assert c.response().status == 200
    request = b.requests[-1]
    assert request.body == b"hello"
    assert request.trailers == [("X-Checksum", "abc"), ("X-Empty", ""), ("X-Checksum", "def")]
    assert request.header("x-checksum") is None


def test_an_answers_trailers_reach_the_client(front):
    s, _ = front(lambda request, c: c.send(chunked_answer(b"X-Tokens: 17\r\nX-Cost: 0.1\r\n")))
    with Client(s.port) as c:
        for _ in range(2):
            r = c.request("GET", "/v1/x", WANTED)
            assert (r.body, r.trailers) == (b"hello", [("X-Tokens", "17"), ("X-Cost", "0.1")])
            assert r.header("x-tokens") is None


def test_a_backend_learns_that_trailers_are_taken(front):
    s, b = front()
    s.request("GET", "/v1/x", WANTED)
    assert b.requests[-1].header("te") == "trailers"
    for other in ([("TE", "gzip"), ("Connection", "TE")], [("TE", "trailers")]):
        s.request("GET", "/v1/x", other)
        assert b.requests[-1].header("te") is None


def test_a_client_that_did_not_ask_gets_the_body_without_them(front):
    s, _ = front(lambda request, c: c.send(chunked_answer(b"X-Tokens: 17\r\n")))
    r = s.request("GET", "/v1/x")
    assert (r.body, r.trailers) == (b"hello", [])
    assert r.header("x-tokens") is None


def test_a_client_of_1_0_gets_the_body_without_them(front):
    s, _ = front(lambda request, c: c.send(chunked_answer(b"X-Tokens: 17\r\n")))
    with Client(s.port) as c:
        c.send(b"GET /v1/x HTTP/1.0\r\nHost: h\r\n\r\n")
        r = c.response()
        assert r.body == b"hello"
        assert r.header("x-tokens") is None


FORBIDDEN = ["Content-Length: 50", "Transfer-Encoding: chunked", "Host: evil", "Connection: close",
             "Authorization: Bearer x", "Cookie: a=b", "Content-Type: text/html", "Trailer: x",
             "Content-Encoding: gzip", "X-Forwarded-For: 1.2.3.4", "X-Request-Id: evil",
             "Upgrade: websocket", "TE: trailers", "Expect: 100-continue"]


@pytest.mark.parametrize("field", FORBIDDEN)
def test_what_a_head_decides_is_dropped(front, field):
    s, b = front(lambda request, c: c.send(chunked_answer(field.encode() + b"\r\nX-Good: 1\r\n")))
    with Client(s.port) as c:
        send_chunked(c, field.encode() + b"\r\nX-Good: 1\r\n",
                     b"TE: trailers\r\nConnection: TE\r\n")
        r = c.response()
    assert b.requests[-1].trailers == [("X-Good", "1")]
    assert r.trailers == [("X-Good", "1")]


def test_many_and_large_trailers_are_bounded(front):
    s, b = front()
    for trailers in (b"X: y\r\n" * 20000, b"X: " + b"y" * 200000 + b"\r\n"):
        with Client(s.port) as c:
            try:
                send_chunked(c, trailers)
            except OSError:
                pass
            assert c.response().status in (400, 413, 431)
    assert b.count == 0
    assert not set(s.attempts()) - {"client_abort"}


@pytest.mark.parametrize("fields", [(), WANTED], ids=["unwanted", "wanted"])
def test_a_backends_endless_trailers_do_not_look_whole(front, fields):
    s, _ = front(lambda request, c: c.send(chunked_answer(b"X: y\r\n" * 20000)))
    try:
        status = s.request("GET", "/v1/x", fields).status
    except WireError:
        status = 502
    assert status == 502
    wait_until(lambda: s.attempts() == {"malformed": 1}, 5, "malformed")


def test_trailers_survive_a_second_attempt(pair):
    """What the shield sends again is the whole message."""
    s, stable, _ = pair(canary=lambda request, c: c.reply(500, b"no"), shield="all")
    with Client(s.port) as c:
        send_chunked(c, b"X-Checksum: abc\r\n")
        assert c.response().status == 200
    assert stable.requests[-1].body == b"hello"
    assert stable.requests[-1].trailers == [("X-Checksum", "abc")]
