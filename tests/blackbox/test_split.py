"""The share of requests that the canary gets, and what counts as evidence against it."""

import threading
import time

from http_wire import Client, wait_until
from load import Load
from sluice import FAST_GUARD, policy, steps


def share(count, of):
    return count / of


def test_ten_percent_in_total_and_per_worker(sluice, backend):
    """The split is by request and even: 10 % of each worker's requests, within 4 standard errors."""
    stable, canary = backend("1.0.0"), backend("2.0.0")
    s = sluice(
        policy("chat", stable, canary, first={"steps": steps(10, hold="1h")}), workers=2
    )
    s.wait_weight(10, 10)
    with Load(s.port, rate=0, clients=8, count=8000) as load:
        results = load.wait()
    assert all(r.status == 200 and not r.error for r in results)
    assert stable.count + canary.count == 8000
    got = share(canary.count, 8000)
    assert abs(got - 0.10) < 4 * (0.1 * 0.9 / 8000) ** 0.5, got
    assert sum(r.version == "2.0.0" for r in results) == canary.count
    m = s.metrics()
    assert m.value("sluice_requests_total", variant="canary", outcome="ok") == canary.count


def test_each_worker_splits_alike(sluice, backend):
    """One connection stays with one worker: every connection sees its 10 %."""
    stable, canary = backend("1.0.0"), backend("2.0.0")
    s = sluice(
        policy("chat", stable, canary, first={"steps": steps(10, hold="1h")}), workers=2
    )
    s.wait_weight(10, 10)
    for _ in range(4):
        with Client(s.port) as c:
            versions = [
                c.request("GET", "/v1/x").header("x-sluice-version") for _ in range(1500)
            ]
        got = share(versions.count("2.0.0"), len(versions))
        assert abs(got - 0.10) < 4 * (0.1 * 0.9 / len(versions)) ** 0.5, got


def test_weight_zero_means_none(sluice, backend):
    stable, canary = backend("1.0.0"), backend("2.0.0")
    s = sluice(policy("chat", stable, canary, first={"start": "manual"}))
    assert s.phase() == "pending"
    with Load(s.port, rate=0, clients=4, count=1000) as load:
        load.wait()
    assert canary.count == 0
    assert stable.count == 1000


def test_client_that_leaves_is_not_held_against_the_canary(sluice, backend):
    """Clients that give up on a slow answer: counted as client_abort, no revert."""
    def slow(request, c):
        time.sleep(1.0)
        c.reply(200, b"{}")

    canary = backend("2.0.0", slow)
    s = sluice(
        policy(
            "chat", backend("1.0.0", slow), canary,
            first={"steps": steps(100, hold="1h"), "analysis": {"burst_guard": FAST_GUARD}},
        )
    )
    s.wait_weight(100, 10)

    def give_up():
        for _ in range(5):
            c = Client(s.port)
            c.send_request("POST", "/v1/x", body=b"{}")
            time.sleep(0.4)  # a FIN right behind a request would be a half-close
            c.close()

    threads = [threading.Thread(target=give_up) for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wait_until(
        lambda: s.metrics().value("sluice_requests_total", outcome="client_abort") == 50, 10,
        "fifty aborts are counted",
    )
    assert s.phase() == "progressing"
    assert not s.metrics().value("sluice_requests_total", variant="canary", outcome="reset")


def test_abort_closes_the_upstream_connection(front):
    """A generation nobody waits for must stop costing: the backend sees the client's leaving."""
    gone = threading.Event()

    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(500):
                c.send(b"5\r\ntoken\r\n")
                time.sleep(0.02)
        except OSError:
            gone.set()
            raise

    s, _ = front(handler)
    c = Client(s.port)
    c.send_request("POST", "/v1/x", body=b"{}")
    c.reader.head()
    c.reader.chunk()
    c.close()
    assert gone.wait(5)
