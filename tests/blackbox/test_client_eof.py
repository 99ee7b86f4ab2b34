"""What a client's FIN means: with the request it is a half-close and answered; later it went away.
proxy.client_eof says otherwise where somebody knows better."""

import contextlib
import socket
import threading
import time

import pytest

from http_wire import Client, wait_until


class Slow:
    """Answers after a while, unless the proxy gives up before; `gone` says that it did."""

    def __init__(self, delay=0.8):
        self.delay = delay
        self.started, self.gone = threading.Event(), threading.Event()

    def __call__(self, request, c):
        self.started.set()
        c.sock.settimeout(self.delay)
        try:
            c.sock.recv(1)
            self.gone.set()
            c.close_after = True
            return
        except TimeoutError:
            c.sock.settimeout(None)
        except ConnectionError:
            self.gone.set()
            raise
        c.reply(200, b"late")


def ask(s, slow, when, body=b""):
    """A client that ends its side with the request, or later."""
    c = Client(s.port)
    head = b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
    c.send(head + body)
    if when == "later":
        assert slow.started.wait(5)
        time.sleep(0.3)
    c.sock.shutdown(socket.SHUT_WR)
    return c


def answered(c, s):
    r = c.response()
    assert (r.status, r.body) == (200, b"late")
    assert c.closed_by_peer(5)
    assert s.results() == {"ok": 1}


def cancelled(c, slow, s):
    wait_until(lambda: s.results() == {"client_abort": 1}, 5, "an abort")
    if slow.started.is_set():  # a FIN with the request may be seen before anything was sent
        assert slow.gone.wait(0.6), "the backend still works on it"
    assert s.attempts() == {"client_abort": 1}


# (client_eof, when the FIN comes): what becomes of the request
CASES = {
    ("auto", "with"): answered,
    ("auto", "later"): cancelled,
    ("answer", "with"): answered,
    ("answer", "later"): answered,
    ("cancel", "with"): cancelled,
    ("cancel", "later"): cancelled,
}


@pytest.mark.parametrize("mode,when", CASES, ids=[f"{m}-{w}" for m, w in CASES])
@pytest.mark.parametrize("body", [b"", b"some of it"], ids=["no-body", "body"])
def test_fin(front, mode, when, body):
    slow = Slow()
    s, _ = front(slow, config={"proxy": {"client_eof": mode, "workers": 1}})
    c = ask(s, slow, when, body)
    if CASES[mode, when] is answered:
        answered(c, s)
    else:
        cancelled(c, slow, s)
    c.close()


@pytest.mark.parametrize("mode", ["auto", "answer", "cancel"])
def test_a_reset_is_never_a_half_close(front, mode):
    slow = Slow()
    s, _ = front(slow, config={"proxy": {"client_eof": mode, "workers": 1}})
    c = Client(s.port)
    c.send(b"GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert slow.started.wait(5)
    time.sleep(0.1)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    c.close()
    cancelled(c, slow, s)


@pytest.mark.parametrize("mode", ["auto", "answer", "cancel"])
def test_a_fin_inside_the_body_ends_the_request(front, mode):
    """A request that is not whole is never completed, whatever the key says."""
    ended = threading.Event()

    def handler(request, c):
        try:
            c.reader.body(request)
        except Exception:
            ended.set()
            raise
        c.reply(200, b"completed")

    s, _ = front(handler, read_bodies=False, config={"proxy": {"client_eof": mode}})
    c = Client(s.port)
    c.send(b"POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello")
    time.sleep(0.1)
    c.sock.shutdown(socket.SHUT_WR)
    assert ended.wait(5)
    with contextlib.suppress(ConnectionError):
        assert not c.sock.recv(100).startswith(b"HTTP/1.1 200")
    c.close()
    wait_until(lambda: not set(s.attempts()) - {"client_abort"}, 5, "nobody is blamed")


def test_pipelined_requests_before_a_fin_are_all_answered(front):
    s, _ = front(lambda request, c: c.reply(200, request.target.encode()))
    with Client(s.port) as c:
        c.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(5)))
        c.sock.shutdown(socket.SHUT_WR)
        assert [c.response().body for _ in range(5)] == [b"/%d" % i for i in range(5)]
        assert c.closed_by_peer(5)
