"""Trailer fields: to a backend always, to a client that says so, and never what must not come late."""

import pytest

from http_wire import Client

CHUNKED = b"5\r\nhello\r\n0\r\n"
ALLOWED = [("X-Checksum", "abc"), ("x-cost", "12")]
MIXED = (b"X-Checksum: abc\r\nContent-Length: 9\r\nSet-Cookie: evil=1\r\nHost: evil\r\nx-cost:12\r\n"
         b"X-Forwarded-For: 1.2.3.4\r\n\r\n")


def post(*fields):
    return ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            + "".join(f + "\r\n" for f in fields) + "\r\n").encode()


def answering(fields=b"", trailers=MIXED):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + fields + b"\r\n" + CHUNKED + trailers)

    return handler


def ask(s, *fields, version="1.1"):
    with Client(s.port) as client:
        client.send(f"GET / HTTP/{version}\r\nHost: a\r\n{''.join(f + chr(13) + chr(10) for f in fields)}\r\n"
                    .encode())
        return client.response()


def test_of_a_request(front):
    s, b = front()
    with Client(s.port) as client:
        client.send(post("Trailer: X-Checksum") + CHUNKED + MIXED)
        assert client.response().status == 200
    request = b.requests[-1]
    assert (request.body, request.trailers) == (b"hello", ALLOWED)
    assert request.all("trailer") == ["X-Checksum"]


def test_of_a_request_whose_connection_names_fields(front):
    """Their names are not remembered until the trailers come, so none pass."""
    s, b = front()
    with Client(s.port) as client:
        client.send(post("Trailer: X-Checksum", "Connection: x-checksum") + CHUNKED + MIXED)
        assert client.response().status == 200
    assert (b.requests[-1].body, b.requests[-1].trailers) == (b"hello", [])
    assert b.requests[-1].all("trailer") == []


def test_of_an_answer_for_a_client_that_takes_them(front):
    s, b = front(answering(b"Trailer: X-Checksum\r\n"))
    answer = ask(s, "TE: trailers", "Connection: TE")
    assert (answer.body, answer.trailers) == (b"hello", ALLOWED)
    assert answer.all("trailer") == ["X-Checksum"]
    assert (b.requests[-1].all("te"), b.requests[-1].all("connection")) == (["trailers"], ["TE"])


@pytest.mark.parametrize("fields", [(), ("TE: trailers",), ("TE: gzip", "Connection: TE")])
def test_of_an_answer_for_a_client_that_does_not(front, fields):
    s, b = front(answering(b"Trailer: X-Checksum\r\n"))
    answer = ask(s, *fields)
    assert (answer.body, answer.trailers, answer.all("trailer")) == (b"hello", [], [])
    assert b.requests[-1].all("te") == []


def test_of_an_answer_for_http_1_0(front):
    s, _ = front(answering())
    answer = ask(s, "TE: trailers", "Connection: TE", version="1.0")
    assert (answer.body, answer.trailers) == (b"hello", [])


@pytest.mark.parametrize("bad", [b"X : 1\r\n\r\n", b"X: a\r\n b\r\n\r\n", b"nonsense\r\n\r\n", b"X: \x01\r\n\r\n"])
def test_that_are_no_fields(front, bad):
    """Checked also where they would be dropped."""
    s, b = front()
    with Client(s.port) as client:
        client.send(post() + CHUNKED + bad)
        assert client.response().status == 400
        assert client.closed_by_peer(5)
    assert len(b.requests) == 0
