"""The shield: a canary's failure before the first byte is answered by stable, when the request may be
sent twice (RFC 9110, 9.2.2), and is still the canary's failure."""

import threading
import time

import pytest

from http_wire import Client, WireError, wait_until
from load import Load, failures
from sluice import FAST_GUARD, policy, steps

FAST = {"first_byte_timeout": "400ms", "connect_timeout": "400ms", "idle_timeout": "2s",
        "total_timeout": "5s", "retries": {"max": 0}}


def closes(request, c):
    c.close_after = True


def half_a_head(request, c):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    c.close_after = True


def silent(request, c):
    c.sock.settimeout(5)
    c.sock.recv(1)  # until the proxy gives up
    c.close_after = True


def garbage(request, c):
    c.send(b"220 mail.example.com ESMTP\r\n\r\n")
    c.close_after = True


def refusing(status):
    return lambda request, c: c.reply(status, b"canary says no")


# How a canary can fail before the first byte: its handler (None: nobody listens), what it counts as,
# and what the client gets without a shield.
FAILURES = {
    "connect": (None, "connect", 502),
    "close": (closes, "reset", 502),
    "reset": (lambda request, c: c.reset(), "reset", 502),
    "half-a-head": (half_a_head, "reset", 502),
    "garbage": (garbage, "malformed", 502),
    "silence": (silent, "timeout", 504),
    "500": (refusing(500), "5xx", 500),
    "503": (refusing(503), "5xx", 503),
}
IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]


def broken(pair, failure, shield, **keys):
    handler, outcome, status = FAILURES[failure]
    s, stable, canary = pair(canary=handler, shield=shield, upstream={**FAST, **keys})
    if handler is None:
        canary.down()
    return s, stable, outcome, status


@pytest.mark.parametrize("failure", FAILURES)
def test_safe_answers_what_may_be_sent_twice_from_stable(pair, failure):
    s, stable, outcome, _ = broken(pair, failure, "safe")
    for method in IDEMPOTENT:
        body = b"all of it" if method == "PUT" else None
        r = s.request(method, "/v1/x", body=body)
        assert (r.status, r.all("x-sluice-version")) == (200, ["1.0.0"]), method
    assert [r.method for r in stable.requests] == IDEMPOTENT
    assert [r.body for r in stable.requests if r.method == "PUT"] == [b"all of it"]
    assert s.attempts() == {outcome: 5}
    assert s.attempts(variant="canary") == {outcome: 5}
    assert s.results() == {"shielded": 5}
    assert s.metrics().value("sluice_retries_total", variant="stable", outcome="ok") == 5


@pytest.mark.parametrize("failure", FAILURES)
def test_safe_never_sends_a_post_again_that_was_read(pair, failure):
    s, stable, outcome, status = broken(pair, failure, "safe")
    r = s.request("POST", "/v1/x", body=b"{}")
    if failure == "connect":  # nobody can have read it
        assert (r.status, r.header("x-sluice-version")) == (200, "1.0.0")
        assert [m.body for m in stable.requests] == [b"{}"]
        assert s.results() == {"shielded": 1}
    else:
        assert (r.status, r.header("x-sluice-version")) == (status, "2.0.0")
        assert stable.count == 0
        assert s.results() == {outcome: 1}
    assert s.attempts(variant="canary") == {outcome: 1}


@pytest.mark.parametrize("failure", FAILURES)
def test_all_answers_posts_from_stable(pair, failure):
    s, stable, outcome, _ = broken(pair, failure, "all")
    for body in (b"{}", [b"in ", b"two"], b"x" * 300000, None):
        r = s.request("POST", "/v1/x", body=body)
        assert (r.status, r.header("x-sluice-version")) == (200, "1.0.0")
    assert [m.body for m in stable.requests] == [b"{}", b"in two", b"x" * 300000, b""]
    assert s.attempts() == {outcome: 4}
    assert s.results() == {"shielded": 4}


@pytest.mark.parametrize("failure", FAILURES)
def test_off_leaves_the_failure_to_the_client(pair, failure):
    s, stable, outcome, status = broken(pair, failure, "off")
    r = s.request("GET", "/v1/x")
    assert (r.status, r.header("x-sluice-version")) == (status, "2.0.0")
    assert stable.count == 0
    assert s.results() == {outcome: 1}


def test_safe_is_the_default(pair):
    s, _, _ = pair(canary=refusing(500))
    assert s.request("GET", "/v1/x").status == 200


@pytest.mark.parametrize("status", [400, 404, 429])
def test_what_the_client_did_wrong_stays_the_canarys_answer(pair, status):
    s, stable, _ = pair(canary=refusing(status), shield="all")
    r = s.request("GET", "/v1/x")
    assert (r.status, r.header("x-sluice-version")) == (status, "2.0.0")
    assert stable.count == 0


@pytest.mark.parametrize("how", ["close", "reset", "bad-chunk"])
def test_nothing_is_sent_again_after_the_first_byte(pair, how):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        time.sleep(0.1)
        if how == "bad-chunk":
            c.send(b"0x5\r\n")
        elif how == "reset":
            c.reset()
        c.close_after = True

    s, stable, _ = pair(canary=handler, shield="all")
    with pytest.raises(WireError):
        s.request("GET", "/v1/x")
    assert stable.count == 0
    assert "shielded" not in s.results()


def test_a_body_larger_than_the_replay_buffer_is_not_sent_again(pair):
    """Beyond limits.replay a request goes unshielded, and is counted as such."""
    s, stable, _ = pair(canary=refusing(500), shield="all",
                        config={"proxy": {"limits": {"replay": "64KiB"}}})
    assert s.request("POST", "/v1/x", body=b"x" * 60000).status == 200
    r = s.request("POST", "/v1/x", body=b"x" * 70000)
    assert (r.status, r.header("x-sluice-version")) == (500, "2.0.0")
    assert stable.count == 1
    assert s.metrics().value("sluice_unshielded_total") == 1
    assert s.results() == {"shielded": 1, "5xx": 1}


def test_what_is_held_is_bounded_over_all_requests(pair):
    """Ten uploads of 80 KiB at once, and room for five of them. The room comes back."""
    go = threading.Event()

    def handler(request, c):
        go.wait(10)
        c.reply(500, b"no")

    s, _, _ = pair(canary=handler, shield="all",
                   config={"proxy": {"limits": {"replay": "100KiB", "replay_total": "450KiB"}}})
    clients = [Client(s.port) for _ in range(10)]
    for c in clients:
        c.send_request("POST", "/v1/x", body=b"x" * 80000)
    time.sleep(0.5)
    go.set()
    statuses = [c.response().status for c in clients]
    assert 3 <= statuses.count(200) <= 5, statuses
    assert s.metrics().value("sluice_unshielded_total") == statuses.count(500)
    for c in clients:
        assert c.request("POST", "/v1/x", body=b"y" * 80000).status == 200
        c.close()


def test_a_body_that_still_comes_goes_on_to_stable(pair):
    """The canary fails in the middle of an upload: stable gets the first half and the rest."""

    def handler(request, c):
        c.reader.exactly(1000)
        c.reset()

    stable_bodies = []

    def stable_handler(request, c):
        c.reader.body(request)
        stable_bodies.append(request.body)
        c.reply(200, b"ok")

    s, _, _ = pair(stable_handler, handler, shield="all", read_bodies=False)
    for framing in (b"Content-Length: 2000\r\n", b"Transfer-Encoding: chunked\r\n"):
        with Client(s.port) as c:
            chunked = framing.startswith(b"T")
            c.send(b"POST /v1/x HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n")
            c.send(b"3e8\r\n" + b"a" * 1000 + b"\r\n" if chunked else b"a" * 1000)
            time.sleep(0.3)
            c.send(b"3e8\r\n" + b"b" * 1000 + b"\r\n0\r\n\r\n" if chunked else b"b" * 1000)
            r = c.response()
            assert (r.status, r.header("x-sluice-version")) == (200, "1.0.0")
    assert stable_bodies == [b"a" * 1000 + b"b" * 1000] * 2


def test_one_deadline_for_both(pair):
    """The canary is silent, stable is slow: total_timeout counts from the beginning."""

    def slow(request, c):
        time.sleep(3)
        c.reply(200, b"late")

    s, _, _ = pair(slow, silent, upstream={
        "connect_timeout": "500ms", "first_byte_timeout": "800ms", "total_timeout": "1200ms",
        "idle_timeout": "800ms",
    })
    began = time.monotonic()
    assert s.request("GET", "/v1/x").status == 504
    assert 1.0 < time.monotonic() - began < 2.5


def test_stables_own_failure_is_the_clients_answer(pair):
    s, stable, _ = pair(refusing(503), refusing(500))
    r = s.request("GET", "/v1/x")
    assert (r.status, r.header("x-sluice-version")) == (503, "1.0.0")
    assert stable.count == 1
    assert s.attempts() == {"5xx": 1}
    assert s.attempts(variant="canary") == {"5xx": 1}


def test_a_full_stable_is_not_made_fuller(pair):
    """Shielding takes only what stable has free."""
    busy, go = threading.Event(), threading.Event()

    def stable_handler(request, c):
        busy.set()
        go.wait(10)
        c.reply(200, b"ok")

    s, stable, _ = pair(stable_handler, refusing(500), upstream={"max_requests": 1})
    with Client(s.port) as first:
        first.send_request("GET", "/v1/1")
        assert busy.wait(10)
        r = s.request("GET", "/v1/2")
        assert (r.status, r.header("x-sluice-version")) == (500, "2.0.0")
        go.set()
        assert first.response().status == 200
    assert stable.count == 1


def test_the_shielded_connection_lives_on(pair):
    s, _, _ = pair(canary=refusing(500))
    with Client(s.port) as c:
        for _ in range(20):
            r = c.request("GET", "/v1/x")
            assert r.status == 200 and r.keep_alive()


def test_a_canary_that_fails_everything_costs_no_user_anything(sluice, backend):
    """shield: all, and a canary that answers 500 to every POST: it is rolled back, and not one of
    its users saw it."""
    stable, canary = backend("1.0.0"), backend("2.0.0")
    canary.error_rate = 1.0
    s = sluice(policy("chat", stable, canary, shield="all", steps=steps(50, 100, hold="1h"),
                      analysis={"burst_guard": FAST_GUARD}))
    s.wait_weight(50, 10)
    with Load(s.port, rate=200) as load:
        s.wait_phase("rolled_back", 30)
        wait_until(lambda: len(load.so_far()) > 400, 20, "more requests")
    assert not failures(load.results)
    assert canary.count > 5
    assert s.attempts(variant="canary") == {"5xx": canary.count}
    assert s.results()["shielded"] == canary.count
