"""Slow peers cost sluice a buffer, not the whole body."""

import time

from http_wire import Client
from sluice import FRESH

SIZE = 64 << 20
BOUND_KIB = 16 << 10  # what all the stalled transfers together may add


def grown(s, before):
    return s.rss_kib() - before


def test_slow_readers_of_a_large_answer(front):
    block = b"x" * (1 << 20)

    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE >> 20):
            c.send(block)

    s, _ = front(handler, prefix=FRESH)
    assert s.request("HEAD", "/").status in (200, 502)
    before = s.rss_kib()
    clients = [Client(s.port, receive_buffer=8192) for _ in range(8)]
    try:
        for c in clients:
            c.send_request("GET", "/")
        time.sleep(1.5)  # the backends push as fast as they can all this time
        assert grown(s, before) < BOUND_KIB
        # And a reader that wakes up gets every byte.
        left = SIZE
        head = clients[0].reader.head()
        assert head.status == 200
        while left > 0:
            left -= len(clients[0].reader.exactly(min(left, 1 << 20)))
        assert grown(s, before) < BOUND_KIB
    finally:
        for c in clients:
            c.close()


def test_slow_backend_holds_up_a_large_upload(front):
    def handler(request, c):
        time.sleep(1.5)
        left = int(request.header("content-length"))
        while left > 0:
            left -= len(c.reader.exactly(min(left, 1 << 20)))
        c.reply(200, b"all of it")

    s, _ = front(handler, read_bodies=False)
    body = b"y" * (48 << 20)
    with Client(s.port) as warm:
        warm.sock.close()
    before = s.rss_kib()
    with Client(s.port) as c:
        c.sock.settimeout(0.8)
        sent = 0
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
        c.send(head)
        try:
            while sent < len(body):
                sent += c.sock.send(body[sent : sent + (1 << 20)])
        except TimeoutError:
            pass
        assert sent < len(body), "sluice took the whole body though the backend reads nothing"
        assert grown(s, before) < BOUND_KIB
        c.sock.settimeout(30)
        c.send(body[sent:])
        assert c.response().body == b"all of it"


def test_a_stalled_client_does_not_hold_up_others(front):
    def handler(request, c):
        size = SIZE if request.target == "/big" else 10
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(max(1, size >> 20)):
            c.send(b"x" * min(size, 1 << 20))

    s, _ = front(handler, config={"proxy": {"workers": 1}})
    stalled = [Client(s.port, receive_buffer=8192) for _ in range(20)]
    try:
        for c in stalled:
            c.send_request("GET", "/big")
        with Client(s.port) as c:
            slowest = 0.0
            for _ in range(100):
                began = time.monotonic()
                assert c.request("GET", "/small").body == b"x" * 10
                slowest = max(slowest, time.monotonic() - began)
        assert slowest < 2.0
    finally:
        for c in stalled:
            c.close()


def test_idle_connections_are_cheap(front):
    """Thousands of clients that keep a connection and say nothing cost neither memory nor time."""
    s, _ = front()
    assert s.request("GET", "/").status == 200
    before = s.rss_kib()
    clients = []
    try:
        for i in range(2000):
            clients.append(Client(s.port))
            if i % 4 == 0:
                assert clients[-1].request("GET", "/").status == 200
        assert grown(s, before) < 2000 * 8
        used = s.cpu_seconds()
        time.sleep(1.0)
        assert s.cpu_seconds() - used < 0.3
        assert s.request("GET", "/").status == 200
    finally:
        for c in clients:
            c.close()


def test_many_slow_senders_do_not_hold_up_others(front):
    """Three hundred clients that send a byte now and then, and one that is in a hurry."""
    s, _ = front(config={"proxy": {"workers": 1}})
    slow = [Client(s.port) for _ in range(300)]
    try:
        for c in slow:
            c.send(b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx")
        slowest = 0.0
        with Client(s.port) as c:
            for n in range(50):
                for other in slow[n * 6 : n * 6 + 6]:
                    other.send(b"x")
                began = time.monotonic()
                assert c.request("GET", "/fast").status == 200
                slowest = max(slowest, time.monotonic() - began)
        assert slowest < 2.0
        slow[0].send(b"12345678")
        assert slow[0].response().status == 200
    finally:
        for c in slow:
            c.close()
