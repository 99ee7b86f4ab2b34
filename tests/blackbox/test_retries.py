"""A second attempt at the same version: only where RFC 9110 (9.2.2) allows it, at another endpoint
first, and never more than the budget."""

import time

import pytest

from http_wire import Client, WireError, wait_until
from sluice import policy


def resets(request, c):
    c.reset()


def closes(request, c):
    c.close_after = True


@pytest.fixture
def endpoints(sluice, backend):
    """endpoints(handler, …, retries=…) → (sluice, [backend, …]): a stable with several endpoints."""

    def make(*handlers, workers=1, **upstream):
        backends = [backend("1.0.0", h) for h in handlers]
        return sluice(policy("chat", backends, upstream=upstream), workers=workers), backends

    return make


@pytest.mark.parametrize("handler", [resets, closes], ids=["reset", "close"])
def test_idempotent_requests_go_to_another_endpoint(endpoints, handler):
    s, (bad, good) = endpoints(handler, None, retries={"max": 1, "budget": "100%"})
    for n in range(20):
        method = ["GET", "PUT", "DELETE", "OPTIONS"][n % 4]
        r = s.request(method, f"/v1/{n}", body=b"all of it" if method == "PUT" else None)
        assert r.status == 200
    assert good.count == 20
    assert all(r.body == b"all of it" for r in good.requests if r.method == "PUT")
    assert bad.count > 0
    assert s.attempts().get("reset") == bad.count
    assert s.attempts().get("ok") == 20 - bad.count
    assert s.metrics().value("sluice_retries_total", outcome="ok") == bad.count
    assert s.results() == {"ok": 20}


@pytest.mark.parametrize("handler", [resets, closes], ids=["reset", "close"])
def test_a_post_that_was_sent_is_never_sent_again(endpoints, handler):
    s, backends = endpoints(handler, handler, retries={"max": 5, "budget": "100%"})
    for n in range(10):
        assert s.request("POST", f"/v1/{n}", body=b"{}").status == 502
    assert sum(b.count for b in backends) == 10
    assert s.metrics().value("sluice_retries_total") == 0


def test_a_post_that_was_not_sent_goes_to_another_endpoint(endpoints):
    """Nobody listens: nobody can have read it."""
    s, (bad, good) = endpoints(None, None, retries={"max": 1, "budget": "100%"})
    bad.down()
    for n in range(10):
        assert s.request("POST", f"/v1/{n}", body=b"{}").status == 200
    assert good.count == 10
    assert s.attempts().get("connect", 0) + s.attempts().get("ok", 0) == 10


def test_an_answer_is_an_answer(endpoints):
    """A 5xx or something that is not HTTP is passed on or refused, not asked for again."""

    def failing(request, c):
        c.reply(503, b"no")

    def garbage(request, c):
        c.send(b"220 mail\r\n\r\n")
        c.close_after = True

    for handler, status in ((failing, 503), (garbage, 502)):
        s, backends = endpoints(handler, handler, retries={"max": 5, "budget": "100%"})
        assert s.request("GET", "/v1/x").status == status
        assert sum(b.count for b in backends) == 1


def test_nothing_is_sent_again_after_the_first_byte(endpoints):
    def cut(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        c.reset()

    s, backends = endpoints(cut, cut, retries={"max": 5, "budget": "100%"})
    with pytest.raises(WireError):
        s.request("GET", "/v1/x")
    assert sum(b.count for b in backends) == 1


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_than_max(endpoints, most):
    s, backends = endpoints(resets, resets, resets, resets, retries={"max": most, "budget": "100%"})
    for _ in range(10):  # requests that are never retried fill the budget
        assert s.request("POST", "/v1/x").status == 502
    assert s.request("GET", "/v1/x").status == 502
    assert sum(b.count for b in backends) == 10 + 1 + most
    assert s.metrics().value("sluice_retries_total") == most


def test_retries_stay_within_the_budget(endpoints):
    """Everything fails: retries add a tenth to the load and one a second, and not more."""
    s, backends = endpoints(resets, resets, retries={"max": 3, "budget": "10%"})
    began = time.monotonic()
    with Client(s.port) as c:
        for _ in range(300):
            assert c.request("GET", "/v1/x").status == 502
    allowed = 300 * 0.1 + 2 + (time.monotonic() - began)
    extra = sum(b.count for b in backends) - 300
    assert 20 <= extra <= allowed
    assert s.metrics().value("sluice_retries_total") == extra
    assert s.metrics().value("sluice_retries_denied_total") > 200


def test_a_kept_connection_that_breaks_under_a_request(front):
    """Reset as the next request comes: sent again over a new connection when it may be, outside the
    budget. It is charged, unless the connection had been idle for a second: then it had died idle."""
    served = set()

    def handler(request, c):
        if request.connection in served:
            c.reset()
            return
        served.add(request.connection)
        c.reply(200, request.method.encode())

    s, b = front(handler, config={"proxy": {"workers": 1}},
                 upstream={"retries": {"max": 0, "budget": "0%"}})
    for _ in range(10):
        assert s.request("GET", "/v1/x").status == 200
    assert s.attempts() == {"ok": 1, "reset": 9}
    time.sleep(1.2)
    assert s.request("GET", "/v1/x").status == 200
    assert s.attempts() == {"ok": 2, "reset": 9}
    # The first of these meets the connection that the last GET left; the backend may have read it.
    assert s.request("POST", "/v1/x", body=b"{}").status == 502
    assert s.request("POST", "/v1/x", body=b"{}").status == 200


def test_a_dead_endpoint_costs_no_request(endpoints):
    """Nothing was asked of it, so the request goes to the other, whatever the budget says."""
    s, (first, second) = endpoints(None, None, retries={"max": 1, "budget": "0%"})
    first.down()
    with Client(s.port) as c:
        for _ in range(100):
            assert c.request("POST", "/v1/x", body=b"{}").status == 200
    assert second.count == 100


def test_a_large_put_is_sent_again_whole(endpoints):
    def half(request, c):
        c.reset()

    s, (_, good) = endpoints(half, None, retries={"max": 1, "budget": "100%"})
    bodies = [bytes([65 + n]) * 500000 for n in range(8)]
    for body in bodies:
        assert s.request("PUT", "/v1/x", body=body).status == 200
    assert [r.body for r in good.requests] == bodies


def test_an_endpoint_that_comes_back_is_used_again(endpoints):
    s, (first, second) = endpoints(None, None, retries={"max": 1, "budget": "100%"})
    first.down()
    for _ in range(10):
        assert s.request("GET", "/v1/x").status == 200
    first.up()
    wait_until(lambda: s.request("GET", "/v1/x").status == 200 and first.count > 0, 10, "used")
