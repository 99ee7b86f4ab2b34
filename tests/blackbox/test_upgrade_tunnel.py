"""Upgrades end to end: a WebSocket's handshake passes, and then every byte both ways as it is, until
both sides have ended. What is no accepted upgrade stays plain HTTP."""

import base64
import contextlib
import hashlib
import os
import socket
import threading
import time

import pytest

from http_wire import Client, WireError, wait_until
from sluice import policy

KEY = base64.b64encode(bytes(range(16))).decode()
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FIELDS = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY),
          ("Sec-WebSocket-Version", "13")]


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def switch(request, c, behind=b"", protocol="websocket"):
    key = accept_key(request.header("sec-websocket-key") or "")
    c.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n"
           f"Sec-WebSocket-Accept: {key}\r\nX-Kept: yes\r\n\r\n".encode() + behind)


def pump(c, transform=bytes):
    """Echoes until the peer ends, then ends."""
    data = bytes(c.reader.buffer)
    c.reader.buffer.clear()
    while True:
        if data:
            c.send(transform(data))
        data = c.sock.recv(1 << 16)
        if not data:
            c.close_after = True
            return


def echo(request, c):
    switch(request, c)
    pump(c)


def upgraded(s, extra=b"", fields=FIELDS):
    """A client whose upgrade was accepted, and the head that said so."""
    c = Client(s.port, timeout=10)
    lines = "".join(f"{n}: {v}\r\n" for n, v in fields)
    c.send(f"GET /ws HTTP/1.1\r\nHost: api.example.com\r\n{lines}\r\n".encode() + extra)
    head = c.reader.head()
    assert head.status == 101, head.start_line
    return c, head


def ended(c):
    """True when the peer has sent a FIN and nothing before it."""
    return c.sock.recv(1) == b""


def test_handshake_passes_both_ways(front):
    s, b = front(echo)
    c, head = upgraded(s)
    request = b.requests[-1]
    assert request.header("upgrade") == "websocket"
    assert request.header("connection").lower() == "upgrade"
    assert request.header("sec-websocket-key") == KEY
    assert request.header("x-forwarded-for") == "127.0.0.1"
    assert head.header("upgrade") == "websocket"
    assert head.header("connection").lower() == "upgrade"
    assert head.header("sec-websocket-accept") == accept_key(KEY)
    assert head.header("x-kept") == "yes"
    assert head.header("x-sluice-version") == "1.0.0"
    assert head.header("content-length") is None and head.header("transfer-encoding") is None
    c.close()


def test_frames_pass_as_they_are(front):
    s, _ = front(echo)
    c, _ = upgraded(s)
    for frame in (b"\x81\x85\x00\x00\x00\x00hello", b"\x89\x00", bytes(range(256)), b"\r\n\r\n\x00",
                  b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        c.send(frame)
        assert c.reader.exactly(len(frame)) == frame
    c.close()


def test_bytes_at_once_behind_the_handshake(front):
    """What the client sends before it has the 101 waits for it; what the backend sends with it
    comes with it."""

    def handler(request, c):
        time.sleep(0.2)
        switch(request, c, behind=b"first words")
        pump(c, bytes.upper)

    s, _ = front(handler)
    c, _ = upgraded(s, extra=b"too early")
    assert c.reader.exactly(11) == b"first words"
    assert c.reader.exactly(9) == b"TOO EARLY"
    c.close()


def test_megabytes_both_ways(front):
    s, _ = front(echo)
    c, _ = upgraded(s)
    data = os.urandom(1 << 20) * 8
    sender = threading.Thread(target=c.send, args=(data,))
    sender.start()
    assert hashlib.sha256(c.reader.exactly(len(data))).digest() == hashlib.sha256(data).digest()
    sender.join()
    c.close()


def test_a_slow_side_holds_the_other_up(front):
    """A client that does not read what it is sent costs a window, not megabytes."""
    size = 32 << 20

    def flood(request, c):
        switch(request, c)
        for _ in range(size >> 20):
            c.send(b"x" * (1 << 20))
        c.close_after = True

    s, _ = front(flood)
    before = s.rss_kib()
    c = Client(s.port, receive_buffer=8192)
    c.send_request("GET", "/ws", FIELDS)
    assert c.reader.head().status == 101
    time.sleep(0.7)
    assert s.rss_kib() - before < 8192
    assert len(c.reader.exactly(size)) == size
    assert ended(c)
    c.close()


def test_each_sides_end_is_passed_on(front):
    """A half-closed tunnel still carries the other direction."""
    got = []

    def handler(request, c):
        switch(request, c)
        while data := c.sock.recv(1 << 16):
            got.append(data)
        c.send(b"goodbye")
        c.close_after = True

    s, b = front(handler)
    c, _ = upgraded(s)
    c.send(b"last words")
    c.sock.shutdown(socket.SHUT_WR)
    assert c.reader.exactly(7) == b"goodbye"
    assert ended(c)
    assert b"".join(got) == b"last words"
    c.close()
    wait_until(lambda: s.metrics().value("sluice_requests_active") == 0, 5, "the tunnel is gone")


def test_backend_that_ends_ends_the_client(front):
    def handler(request, c):
        switch(request, c)
        c.close_after = True

    s, _ = front(handler)
    c, _ = upgraded(s)
    assert ended(c)
    c.close()


@pytest.mark.parametrize("side", ["client", "backend"])
def test_a_reset_breaks_the_other_side(front, side):
    seen = threading.Event()

    def handler(request, c):
        switch(request, c)
        if side == "backend":
            c.sock.recv(1)
            c.reset()
            return
        try:
            if c.sock.recv(1) == b"":
                seen.set()
        except ConnectionError:
            seen.set()
        c.close_after = True

    s, _ = front(handler)
    c, _ = upgraded(s)
    if side == "client":
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        c.close()
        assert seen.wait(5)
    else:
        c.send(b"x")
        with pytest.raises((WireError, ConnectionError)):
            c.reader.exactly(1)
        c.close()


@pytest.mark.parametrize("status", [200, 403, 426, 503])
def test_a_refused_upgrade_is_a_plain_answer(front, status):
    """The connection goes on as HTTP, and what follows is a request, not a tunnel's bytes."""

    def handler(request, c):
        if request.target == "/ws":
            fields = [("Upgrade", "websocket"), ("Connection", "Upgrade")] if status == 426 else []
            c.reply(status, b"no", fields)
        else:
            c.reply(200, b"plain")

    s, b = front(handler)
    with Client(s.port) as c:
        r = c.request("GET", "/ws", FIELDS)
        assert (r.status, r.body) == (status, b"no")
        if r.keep_alive():
            assert c.request("GET", "/next").body == b"plain"
    assert s.metrics().value("sluice_tunnels_total") == 0


@pytest.mark.parametrize(
    "fields",
    [
        [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")],
        [("Connection", "Upgrade"), ("Upgrade", "H2C")],
        [("Upgrade", "websocket")],
        [("Connection", "Upgrade"), ("Upgrade", "websocket, foo")],
        [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Upgrade", "foo")],
        [("Connection", "Upgrade")],
        [("Connection", "keep-alive"), ("Upgrade", "websocket")],
    ],
    ids=["h2c", "h2c-capitals", "not-nominated", "two", "two-fields", "no-protocol", "other-option"],
)
def test_what_is_no_plain_upgrade_is_not_passed_on(front, fields):
    s, b = front()
    assert s.request("GET", "/ws", fields).status == 200
    request = b.requests[-1]
    assert request.header("upgrade") is None
    assert request.header("http2-settings") is None
    assert "upgrade" not in (request.header("connection") or "").lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
    ids=["bare", "no-protocol", "another"],
)
def test_101_that_does_not_name_what_was_asked_for(front, answer):
    def handler(request, c):
        c.send(answer)
        pump(c)

    s, _ = front(handler)
    with Client(s.port) as c:
        c.send_request("GET", "/ws", FIELDS)
        assert c.response().status == 502
    assert s.metrics().value("sluice_tunnels_total") == 0
    assert s.attempts() == {"malformed": 1}


def test_an_accepted_upgrade_is_a_success_at_once(front):
    """A connection that lives for hours does not leave its verdict open for as long."""
    s, _ = front(echo)
    c, _ = upgraded(s)
    wait_until(lambda: s.attempts() == {"ok": 1}, 5, "counted while it is open")
    assert s.metrics().value("sluice_tunnels_total") == 1
    c.close()


def test_timeouts_of_answers_are_not_a_tunnels(front):
    """A WebSocket may be silent for longer than any answer, and live longer than total_timeout."""
    s, _ = front(echo, upstream={"connect_timeout": "300ms", "first_byte_timeout": "300ms",
                                 "idle_timeout": "300ms", "total_timeout": "900ms"})
    c, _ = upgraded(s)
    for _ in range(3):
        time.sleep(0.6)
        c.send(b"x")
        assert c.reader.exactly(1) == b"x"
    c.close()


def test_a_silent_tunnel_is_closed_after_its_own_timeout(front):
    s, _ = front(echo, upstream={"tunnel_timeout": "1s"})
    c, _ = upgraded(s)
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        assert ended(c)
    assert 0.8 < time.monotonic() - began < 3
    c.close()


def test_many_tunnels_at_once(front):
    s, _ = front(echo)
    clients = [upgraded(s)[0] for _ in range(100)]
    for n, c in enumerate(clients):
        c.send(b"%05d" % n)
    for n, c in enumerate(clients):
        assert c.reader.exactly(5) == b"%05d" % n
        c.close()
    wait_until(lambda: s.metrics().value("sluice_requests_active") == 0, 10, "all gone")


def test_a_failed_canary_is_shielded_before_the_upgrade(pair):
    s, stable, _ = pair(echo, lambda request, c: c.reply(500, b"no"))
    c, head = upgraded(s)
    assert head.header("x-sluice-version") == "1.0.0"
    c.send(b"through stable")
    assert c.reader.exactly(14) == b"through stable"
    c.close()


def test_other_rollouts_protocols(sluice, backend):
    """Any single protocol that both sides want, not only WebSocket."""

    def handler(request, c):
        assert request.header("upgrade") == "my-proto/1"
        switch(request, c, protocol="my-proto/1")
        pump(c)

    s = sluice(policy("chat", backend("1.0.0", handler)))
    c, head = upgraded(s, fields=[("Connection", "upgrade"), ("Upgrade", "my-proto/1")])
    assert head.header("upgrade") == "my-proto/1"
    c.send(b"x")
    assert c.reader.exactly(1) == b"x"
    c.close()
