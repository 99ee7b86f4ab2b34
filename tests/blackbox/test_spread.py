"""Client connections over workers: even while they are few, and none lost on the way."""

import signal
import socket
import threading

import pytest

from http_wire import Client, fetch, wait_until
from sluice import free_port, policy
from test_tls import authority, context_for, pair  # noqa: F401


def per_worker(s, metric="sluice_connections_active"):
    metrics = s.metrics()
    return [metrics.value(metric, worker=str(w)) for w in range(s.config["proxy"]["workers"])]


@pytest.mark.parametrize("workers", [2, 4])
def test_sixteen_connections_are_within_one_of_even(sluice, backend, workers):
    s = sluice(policy("chat", backend("1.0.0")), workers=workers)
    for _ in range(3):  # each time other ports, which the kernel hashes otherwise
        clients = [Client(s.port) for _ in range(16)]
        for c in clients:
            assert c.request("GET", "/").status == 200
        even = 16 // workers
        assert all(even - 1 <= n <= even + 1 for n in per_worker(s)), per_worker(s)
        for c in clients:
            c.close()
        wait_until(lambda: sum(per_worker(s)) == 0, 10, "closed")


def test_a_burst_is_evened_too(sluice, backend):
    """All of them stand in the kernel's queues before a worker looks."""
    s = sluice(policy("chat", backend("1.0.0")), workers=4)
    sockets = [socket.socket() for _ in range(400)]
    for sock in sockets:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", s.port))
    wait_until(lambda: sum(per_worker(s)) == 400, 20, "accepted")
    assert max(per_worker(s)) <= 112 and min(per_worker(s)) >= 88, per_worker(s)
    for sock in sockets:
        sock.close()
    wait_until(lambda: sum(per_worker(s)) == 0, 10, "closed")


def test_a_connection_per_request_loses_none(sluice, backend):
    s = sluice(policy("chat", backend("1.0.0")), workers=4)
    statuses = []
    held = [Client(s.port) for _ in range(9)]  # so that it is not even to begin with

    def ask():
        for _ in range(150):
            statuses.append(fetch(s.port, "GET", "/", [("Connection", "close")]).status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for c in held:
        c.close()
    assert statuses == [200] * 1200
    assert sum(per_worker(s, "sluice_connections_total")) == 1209
    wait_until(lambda: sum(per_worker(s)) == 0, 10, "closed")


def test_connections_change_hands_with_their_listener(sluice, backend, authority):
    """Whoever serves one speaks TLS where the listener does, and nowhere else."""
    tls_port, plain_port = free_port(), free_port()
    listen = [
        {"address": f"127.0.0.1:{plain_port}"},
        {"address": f"127.0.0.1:{tls_port}", "tls": pair(authority.issue("localhost", ["DNS:localhost"]))},
    ]
    s = sluice(policy("chat", backend("1.0.0")), workers=4, config={"proxy": {"listen": listen}})
    context = context_for(authority)
    clients = []
    for _ in range(24):
        clients.append(Client(plain_port))
        clients.append(Client(tls_port))
        clients[-1].sock = context.wrap_socket(clients[-1].sock, server_hostname="localhost")
        clients[-1].reader.sock = clients[-1].sock
        assert [c.request("GET", "/", host="localhost").status for c in clients[-2:]] == [200, 200]
    assert max(per_worker(s)) - min(per_worker(s)) <= 3, per_worker(s)
    assert sum(per_worker(s, "sluice_worker_connections_handed_total")) > 0
    for c in clients:
        c.close()


def test_a_drain_serves_who_was_handed_over(sluice, backend):
    """Bursts right before the end: whoever connected is answered, by whichever worker."""
    s = sluice(policy("chat", backend("1.0.0")), workers=4)
    clients = [Client(s.port) for _ in range(200)]
    for c in clients:
        c.send_request("GET", "/")
    s.process.send_signal(signal.SIGTERM)
    assert [c.response().status for c in clients] == [200] * 200
    for c in clients:
        c.close()
