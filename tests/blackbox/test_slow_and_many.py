"""Peers that are slow, many, or silent on purpose: they cost what they may, everybody else is served,
and the admin API answers all the while."""

import contextlib
import os
import socket
import threading
import time

import pytest

from backend import Backend
from http_wire import Client, WireError, wait_until
from load import Load, failures
from sluice import FRESH, policy

LIMITS = {"header_timeout": "1s", "body_timeout": "1s", "idle_timeout": "2s"}
SLOWEST = 2.0  # seconds a well-behaved request may take on a busy machine under a sanitizer


@contextlib.contextmanager
def bystanders(s, rate=50):
    """Well-behaved clients, and somebody who watches the admin API, during the block: none of them
    may notice anything."""
    late = []
    stop = threading.Event()

    def watch():
        while not stop.wait(0.1):
            began = time.monotonic()
            status, _ = s.api("GET", "/v1/rollouts")
            if status != 200 or time.monotonic() - began > SLOWEST:
                late.append((status, time.monotonic() - began))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with Load(s.port, rate=rate, clients=4) as load:
            yield load
    finally:
        stop.set()
        watcher.join()
    assert load.results and not failures(load.results), failures(load.results)[:3]
    assert max(r.seconds for r in load.results) < SLOWEST
    assert not late, late


def descriptors(s):
    return len(os.listdir(f"/proc/{s.process.pid}/fd"))


def served(s):
    try:
        return s.request().status == 200
    except (OSError, WireError):
        return False


def close_all(clients):
    for c in clients:
        c.close()


def statuses(clients, within):
    """What each was told before its connection was closed; None: nothing."""
    deadline, got = time.monotonic() + within, []
    for c in clients:
        c.sock.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            got.append(c.response().status)
        except WireError:
            got.append(None)
        c.close()
    return got


def drip(clients, pieces, pause):
    """A piece to each client in turn, until there are no more or all were cut off."""
    for piece in pieces:
        alive = 0
        for c in clients:
            with contextlib.suppress(OSError):
                c.send(piece)
                alive += 1
        if not alive:
            return
        time.sleep(pause)


@pytest.fixture
def guarded(front):
    """A front with short limits, and the metrics of who was charged."""
    return front(config={"proxy": {"workers": 1, "limits": LIMITS}})


def charged(s):
    m = s.metrics()
    return {o: v for o in ("5xx", "timeout", "reset", "stalled", "truncated", "malformed", "connect")
            if (v := m.value("sluice_requests_total", outcome=o))}


def test_slow_heads(guarded):
    """Slowloris: a header line now and then does not move the deadline of the head."""
    s, b = guarded
    with bystanders(s):
        clients = [Client(s.port) for _ in range(200)]
        drip(clients, [b"GET / HTTP/1.1\r\nHost: h\r\n"] + [b"X: y\r\n"] * 15, 0.2)
        assert set(statuses(clients, 5)) <= {408, None}
    assert not any(r.header("x") for r in b.requests)
    assert charged(s) == {}


def test_silent_bodies(guarded):
    """A body that stops coming is answered 408 after limits.body_timeout; nobody is charged."""
    s, b = guarded
    with bystanders(s):
        clients = [Client(s.port) for _ in range(100)]
        for n, c in enumerate(clients):
            framing = b"Content-Length: 10" if n % 2 else b"Transfer-Encoding: chunked"
            c.send(b"POST /slow HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n1\r\n" % framing)
        began = time.monotonic()
        assert set(statuses(clients, 10)) <= {408}
        assert 0.5 < time.monotonic() - began < 5
    assert not any(r.target == "/slow" for r in b.requests)
    assert charged(s) == {}


def test_dripping_bodies_are_served(guarded):
    """A byte every so often is progress: slow is not silent."""
    s, _ = guarded
    clients = [Client(s.port) for _ in range(50)]
    for c in clients:
        c.send(b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
    drip(clients, [b"x"] * 5, 0.5)
    assert statuses(clients, 5) == [200] * len(clients)


def test_stalled_readers(front):
    """Readers of 50 MiB that read nothing: at most the window of 256 KiB each, and a second wave of
    them costs nothing more."""
    size, count = 50 << 20, 24

    def handler(request, c):
        if request.target == "/v1/chat":
            return b.model(request, c)
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            c.send(b"x" * (1 << 20))

    s, b = front(handler, config={"proxy": {"workers": 1}}, prefix=FRESH)
    for _ in range(50):
        assert s.request("POST", "/v1/chat", body=b"{}").status == 200
    peaks = []
    with bystanders(s):
        before = s.rss_kib()
        for _ in range(2):
            clients = [Client(s.port, receive_buffer=8192) for _ in range(count)]
            for c in clients:
                c.send_request("GET", "/big")
            time.sleep(1.0)
            peaks.append(s.rss_kib() - before)
            close_all(clients)
            wait_until(lambda: s.metrics().value("sluice_requests_active") <= 4, 10, "all ended")
    assert peaks[0] < count * 256, peaks
    assert peaks[1] < count * 256 + 1024, peaks
    assert charged(s) == {}


def test_flood_of_connections(guarded):
    """Thousands of connections that are opened and dropped, with and without a word."""
    s, _ = guarded
    before = descriptors(s)

    def flood(n):
        for i in range(600):
            try:
                with socket.create_connection(("127.0.0.1", s.port), 5) as c:
                    if (i + n) % 3 == 1:
                        c.sendall(b"GET / HT")
                    elif (i + n) % 3 == 2:
                        c.sendall(b"GET /flood HTTP/1.1\r\nHost: h\r\n\r\n")
            except OSError:
                pass

    with bystanders(s):
        threads = [threading.Thread(target=flood, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    # The connections of the bystanders are gone too; a few to the backend may stay in the pool.
    wait_until(lambda: descriptors(s) <= before + 16, 10, "the descriptors are back")
    assert charged(s) == {}


def test_backend_that_never_answers(sluice, backend):
    """All its requests end in 504 in time; the other rollout does not notice."""
    release = threading.Event()
    deaf = backend("1.0.0", lambda request, c: release.wait(30))
    s = sluice([
        policy("deaf", deaf, first={"match": {"paths": ["/deaf"]}},
               upstream={"first_byte_timeout": "700ms"}),
        policy("chat", backend("1.0.0")),
    ], workers=1)
    with bystanders(s):
        clients = [Client(s.port) for _ in range(150)]
        began = time.monotonic()
        for c in clients:
            c.send_request("POST", "/deaf", body=b"{}")
        assert statuses(clients, 15) == [504] * len(clients)
        assert time.monotonic() - began < 10
    release.set()
    m = s.metrics()
    assert m.value("sluice_requests_total", rollout="deaf", outcome="timeout") == 150
    assert m.value("sluice_requests_active") == 0


def test_backend_that_never_accepts(sluice, backend):
    """Its listen queue is full: connecting times out, and nobody waits longer than that."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    fillers = []
    try:
        for _ in range(4):
            fillers.append(socket.socket())
            fillers[-1].setblocking(False)
            fillers[-1].connect_ex(("127.0.0.1", port))
        s = sluice([
            policy("full", ("1.0.0", [f"http://127.0.0.1:{port}"]),
                   first={"match": {"paths": ["/full"]}}, upstream={"connect_timeout": "500ms"}),
            policy("chat", backend("1.0.0")),
        ], workers=1)
        with bystanders(s):
            clients = [Client(s.port) for _ in range(50)]
            began = time.monotonic()
            for c in clients:
                c.send_request("POST", "/full", body=b"{}")
            assert set(statuses(clients, 15)) <= {502, 504}
            assert time.monotonic() - began < 10
        m = s.metrics()
        assert m.value("sluice_requests_total", rollout="full", outcome="connect") == 50
    finally:
        for f in fillers:
            f.close()
        full.close()


def test_backend_that_drips_its_head(front):
    """A head a byte at a time moves no deadline: the first byte timeout stands for the head."""

    def handler(request, c):
        for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 100:
            c.send(bytes([byte]))
            time.sleep(0.05)
        c.close_after = True

    s, _ = front(handler, upstream={"first_byte_timeout": "500ms", "idle_timeout": "500ms",
                                    "total_timeout": "2s"})
    began = time.monotonic()
    assert s.request("POST", "/", body=b"x").status == 504
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("wave", [2000])
def test_idle_connections_come_and_go(front, wave):
    """Two waves of silent connections: the second costs nothing that the first did not."""
    s, _ = front(prefix=FRESH)
    assert s.request("GET", "/").status == 200
    before, grown = descriptors(s), []
    start = s.rss_kib()
    with bystanders(s):
        for _ in range(2):
            clients = [Client(s.port) for _ in range(wave)]
            wait_until(lambda: s.metrics().value("sluice_connections_active") >= wave, 20, "accepted")
            grown.append(s.rss_kib() - start)
            close_all(clients)
            wait_until(lambda: s.metrics().value("sluice_connections_active") < 16, 20, "closed")
    assert grown[0] < wave * 8, grown
    assert grown[1] < grown[0] + 4096, grown
    wait_until(lambda: descriptors(s) <= before + 16, 10, "the descriptors are back")


def test_admin_is_served_when_clients_take_every_descriptor(sluice, backend):
    """With a low limit from the start, clients are turned away before the admin port is."""
    s = sluice(policy("chat", backend("1.0.0")), workers=1, prefix=["prlimit", "--nofile=160:160"])
    clients = []
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                clients.append(Client(s.port, timeout=2))
        for _ in range(20):
            status, _ = s.api("GET", "/v1/rollouts")
            assert status == 200
        assert s.metrics().value("sluice_refused_connections_total") > 0
        used = s.cpu_seconds()
        time.sleep(1.0)
        assert s.cpu_seconds() - used < 0.6, "a busy loop"
    finally:
        close_all(clients)
    wait_until(lambda: served(s), 10, "service again")


def test_endpoints_that_fail_at_once_cost_no_time(sluice):
    """A port that refuses: thousands of 502s in a row leave nothing behind."""
    closed = Backend("1.0.0")
    closed.down()
    s = sluice(policy("chat", closed), workers=1)
    before = descriptors(s)
    with Client(s.port) as c:
        for _ in range(1000):
            assert c.request("POST", "/", body=b"x").status in (502, 503)
    wait_until(lambda: descriptors(s) <= before + 2, 10, "the descriptors are back")
