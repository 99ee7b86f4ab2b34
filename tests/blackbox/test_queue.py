"""In flight per endpoint is bounded over the whole process; who comes beyond waits in a bounded queue
for a bounded time, and is then told to come again."""

import json
import threading
import time

import pytest

from http_wire import Client, wait_until
from load import Load, failures
from sluice import policy


class Gate:
    """A backend's handler that answers when it is told to, and knows how many were in it at once."""

    def __init__(self, delay=None):
        self.go = threading.Event()
        self.lock = threading.Lock()
        self.inside, self.most = 0, 0
        self.delay = delay

    def __call__(self, request, c):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        if self.delay is None:
            self.go.wait(20)
        else:
            time.sleep(self.delay)
        with self.lock:
            self.inside -= 1
        c.reply(200, json.dumps({"id": request.header("x-test-id")}).encode())


def send(s, count, start=0, method="POST"):
    clients = [Client(s.port) for _ in range(count)]
    for n, c in enumerate(clients):
        c.send_request(method, "/v1/chat", [("X-Test-Id", str(start + n))],
                       body=b"{}" if method == "POST" else None)
    return clients


def refusal(client):
    r = client.response()
    client.close()
    assert int(r.header("retry-after")) >= 1
    return r.status, json.loads(r.body)["error"]["code"]


UPSTREAM = {"max_requests": 2, "queue": {"max": 3, "timeout": "20s"}}


def test_beyond_the_queue_is_503_and_the_queue_is_served(front):
    gate = Gate()
    s, b = front(gate, config={"proxy": {"workers": 1}}, upstream={**UPSTREAM, "max_requests": 1})
    waiting = send(s, 1)
    wait_until(lambda: gate.inside == 1, 5, "one in flight")
    for n in range(1, 4):
        waiting += send(s, 1, start=n)
        wait_until(lambda: s.metrics().value("sluice_queued_total") == n, 5, f"{n} in the queue")
    for late in send(s, 2, start=4):
        assert refusal(late) == (503, "queue_full")
    assert b.count == 1
    gate.go.set()
    assert [c.response().status for c in waiting] == [200] * 4
    assert [r.header("x-test-id") for r in b.requests] == ["0", "1", "2", "3"]  # in their order
    m = s.metrics()
    assert m.value("sluice_queue_full_total") == 2
    assert m.value("sluice_queue_seconds_count") == 3
    assert gate.most == 1
    assert s.results() == {"ok": 4, "unavailable": 2}
    for c in waiting:
        c.close()


def test_who_waits_too_long_is_told_to_come_again(front):
    gate = Gate()
    s, b = front(gate, config={"proxy": {"workers": 1}},
                 upstream={"max_requests": 1, "queue": {"max": 10, "timeout": "400ms"}})
    first = send(s, 1)
    wait_until(lambda: gate.inside == 1, 5, "one in flight")
    began = time.monotonic()
    for late in send(s, 3, start=1):
        assert refusal(late) == (503, "queue_timeout")
    assert 0.3 < time.monotonic() - began < 3
    gate.go.set()
    assert first[0].response().status == 200
    assert b.count == 1


def test_no_queue_at_all(front):
    gate = Gate()
    s, _ = front(gate, upstream={"max_requests": 1, "queue": {"max": 0}})
    first = send(s, 1)
    wait_until(lambda: gate.inside == 1, 5, "one in flight")
    assert refusal(send(s, 1)[0]) == (503, "queue_full")
    gate.go.set()
    assert first[0].response().status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_leaves_the_queue_is_never_sent(front, method):
    gate = Gate()
    s, b = front(gate, config={"proxy": {"workers": 1}}, upstream=UPSTREAM)
    first = send(s, 2)
    wait_until(lambda: gate.inside == 2, 5, "two in flight")
    gone = send(s, 2, start=2, method=method)
    last = send(s, 1, start=4)
    wait_until(lambda: s.metrics().value("sluice_queued_total") == 3, 5, "three in the queue")
    time.sleep(0.1)
    for c in gone:
        c.close()
    wait_until(lambda: s.results().get("client_abort") == 2, 5, "noticed")
    gate.go.set()
    assert [c.response().status for c in first + last] == [200] * 3
    assert {r.header("x-test-id") for r in b.requests} == {"0", "1", "4"}


def test_the_bound_is_the_whole_processs(sluice, backend):
    """Four workers, forty clients, and never more than five at the endpoint."""
    gate = Gate(delay=0.005)
    b = backend("1.0.0", gate)
    s = sluice(policy("chat", b, upstream={"max_requests": 5, "queue": {"max": 500, "timeout": "20s"}}),
               workers=4)
    with Load(s.port, rate=0, clients=40, count=1500) as load:
        load.wait(60)
    assert not failures(load.results)
    assert 1 < gate.most <= 5
    assert s.attempts() == {"ok": 1500}


def test_the_bound_is_each_endpoints(sluice, backend):
    gates = [Gate(), Gate()]
    s = sluice(policy("chat", [backend("1.0.0", g) for g in gates],
                      upstream={"max_requests": 2, "queue": {"max": 0}}), workers=2)
    clients = send(s, 4)
    wait_until(lambda: [g.inside for g in gates] == [2, 2], 5, "both full")
    assert refusal(send(s, 1)[0]) == (503, "queue_full")
    for g in gates:
        g.go.set()
    assert [c.response().status for c in clients] == [200] * 4


def test_a_full_canary_gives_to_stable(pair):
    """Whatever the shield: nobody can have read what was never sent. The canary is charged."""
    for shield in ("off", "safe"):
        gate = Gate()
        s, stable, canary = pair(canary=gate, shield=shield, upstream={"max_requests": 1,
                                                                       "queue": {"max": 0}})
        first = send(s, 1)
        wait_until(lambda: gate.inside == 1, 5, "one at the canary")
        r = s.request("POST", "/v1/chat", body=b"{}")
        assert (r.status, r.header("x-sluice-version")) == (200, "1.0.0")
        gate.go.set()
        assert first[0].response().status == 200
        assert (canary.count, stable.count) == (1, 1)
        assert s.attempts(variant="canary") == {"ok": 1, "unavailable": 1}
        s.stop()


def test_the_next_request_on_a_queued_clients_connection_waits_its_turn(front):
    """Two pipelined requests, the first in the queue: answered in order."""
    gate = Gate()
    s, b = front(gate, config={"proxy": {"workers": 1}}, upstream=UPSTREAM)
    first = send(s, 2)
    wait_until(lambda: gate.inside == 2, 5, "two in flight")
    with Client(s.port) as c:
        for n in (7, 8):
            c.send_request("POST", "/v1/chat", [("X-Test-Id", str(n))], body=b"{}")
        wait_until(lambda: s.metrics().value("sluice_queued_total") == 1, 5, "queued")
        gate.go.set()
        assert [json.loads(c.response().body)["id"] for _ in range(2)] == ["7", "8"]
    assert [c.response().status for c in first] == [200] * 2
