"""The admin API: documents, verbs, problems, and who may talk to it."""

import json

import pytest

from http_wire import Client, fetch
from load import Load
from sluice import FAST_GUARD, policy, steps

ERRORS = [{"metric": "error_rate", "max": "1%", "max_increase": "0.5%"}]


@pytest.fixture
def running(sluice, backend):
    """A rollout `chat` at its first step of 50 %, and an idle one, `embed`."""
    stable, canary = backend("1.0.0"), backend("2.0.0")
    s = sluice(
        [
            policy("chat", stable, canary,
                   first={"match": {"paths": ["/v1/"]}, "steps": steps(50, 100, hold="1h")},
                   analysis={"burst_guard": FAST_GUARD, "criteria": ERRORS}),
            policy("embed", stable, first={"match": {"paths": ["/embed/"]}}),
        ]
    )
    s.wait_weight(50, 10)
    return s


def problem(s, method, path, status, **kw):
    """Checks that the answer is a problem document of that status; returns it."""
    body = kw.pop("body", b"" if method == "POST" else None)
    headers = kw.pop("headers", [])
    if body:
        headers = headers + [("Content-Type", kw.pop("content_type", "application/json"))]
    host = kw.pop("host", "127.0.0.1")
    r = fetch(s.admin_port, method, path, headers, body, host=host)
    assert r.status == status, r.body
    assert r.header("content-type").startswith("application/problem+json")
    document = json.loads(r.body)
    assert document["status"] == status
    assert document["title"] and document["detail"]
    return document


def test_the_list(running):
    status, body = running.api("GET", "/v1/rollouts")
    assert status == 200
    assert [r["rollout"] for r in body["rollouts"]] == ["chat", "embed"]
    assert [r["phase"] for r in body["rollouts"]] == ["progressing", "idle"]


def test_a_document(running):
    with Load(running.port, rate=0, clients=2, count=400) as load:
        load.wait()
    d = running.wait_for(lambda d: d["criteria"][0]["requests"] > 100, 10)
    assert d["rollout"] == "chat"
    assert (d["phase"], d["step"], d["steps"], d["weight"]) == ("progressing", 1, 2, 50)
    assert (d["stable"], d["canary"], d["frozen"], d["problems"]) == ("1.0.0", "2.0.0", False, [])
    criterion = d["criteria"][0]
    for key in ("metric", "variant", "value", "lower", "upper", "limit", "verdict", "requests",
                "evidence", "threshold"):
        assert key in criterion, key
    assert criterion["value"] == 0
    assert criterion["limit"] == 0.01
    assert 0 <= criterion["lower"] <= criterion["upper"] < 0.2
    assert d["next"]


def test_verdict_as_a_gate(running):
    status, body = running.api("GET", "/v1/rollouts/chat/verdict")
    assert status == 409
    assert body["rollout"] == "chat"
    with Load(running.port, rate=0, clients=2, count=1500) as load:
        load.wait()
    running.wait_for(lambda d: d["criteria"][0]["verdict"] == "pass", 10)
    status, body = running.api("GET", "/v1/rollouts/chat/verdict")
    assert (status, body["verdict"]) == (200, "pass"), body


def test_verbs(running):
    status, body = running.api("POST", "/v1/rollouts/chat/pause", {"reason": "look at logs"})
    assert status == 200, body
    assert body["document"]["phase"] == "paused"
    status, body = running.api("POST", "/v1/rollouts/chat/resume")
    assert (status, body["document"]["phase"]) == (200, "progressing")
    status, body = running.api("POST", "/v1/rollouts/chat/rollback", {"reason": "no"})
    assert (status, body["document"]["weight"]) == (200, 0)
    status, body = running.api("POST", "/v1/rollouts/chat/retry", {})
    assert (status, body["document"]["weight"]) == (200, 50)


@pytest.mark.parametrize("verb", ["resume", "approve", "retry"])
def test_a_verb_that_makes_no_sense_now_is_refused(running, verb):
    before = running.document()
    problem(running, "POST", f"/v1/rollouts/chat/{verb}", 409)
    after = running.document()
    assert (before["phase"], before["weight"]) == (after["phase"], after["weight"])


@pytest.mark.parametrize("verb", ["promote", "pause", "resume", "approve", "rollback", "retry"])
def test_no_verb_moves_an_idle_rollout(running, verb):
    problem(running, "POST", f"/v1/rollouts/embed/{verb}", 409)


def test_stale_step_is_refused(running):
    document = problem(running, "POST", "/v1/rollouts/chat/promote", 409, body=b'{"expect_step":2}')
    assert "step" in document["detail"]
    assert running.document()["step"] == 1


def test_twenty_promotes_at_once_are_one_step(sluice, backend):
    s = sluice(
        policy("chat", backend("1.0.0"), backend("2.0.0"),
               first={"steps": steps(10, 20, 30, 40, 50, hold="1h")})
    )
    s.wait_weight(10, 10)
    statuses = [
        s.api("POST", "/v1/rollouts/chat/promote", {"expect_step": 1})[0] for _ in range(20)
    ]
    assert sorted(statuses) == [200] + [409] * 19
    assert s.document()["weight"] == 20


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"raeson":"x"}', b'{"expect_step":"1"}', b'{"force":1}', b'{"expect_step":-1}'],
)
def test_bad_bodies_are_refused_whole(running, body):
    problem(running, "POST", "/v1/rollouts/chat/promote", 400, body=body)
    assert running.document()["step"] == 1


def test_unknown_things(running):
    assert "chat" in problem(running, "GET", "/v1/rollouts/nope", 404)["detail"]
    problem(running, "POST", "/v1/rollouts/nope/promote", 404)
    problem(running, "GET", "/v1/rollouts/nope/verdict", 404)
    problem(running, "GET", "/v1/events?rollout=nope", 404)
    problem(running, "GET", "/v1/decisions/chat-999999", 404)
    problem(running, "GET", "/v2/rollouts", 404)


def test_wrong_method(running):
    problem(running, "DELETE", "/v1/rollouts/chat", 405)
    problem(running, "GET", "/v1/rollouts/chat/promote", 405)


def test_form_posts_are_refused(running):
    """What a web page can send without asking the browser's permission."""
    problem(running, "POST", "/v1/rollouts/chat/promote", 415, body=b"force=1",
            content_type="application/x-www-form-urlencoded")
    assert running.document()["step"] == 1


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.example.com", "0.0.0.0:80"])
def test_foreign_host_is_refused(running, host):
    problem(running, "GET", "/v1/rollouts", 421, host=host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1234", "[::1]:9900", "LOCALHOST"])
def test_local_host_is_fine(running, host):
    assert fetch(running.admin_port, "GET", "/v1/rollouts", host=host).status == 200


def test_foreign_origin_is_refused(running):
    problem(running, "POST", "/v1/rollouts/chat/promote", 403,
            headers=[("Origin", "https://evil.example.com")])
    problem(running, "GET", "/v1/rollouts", 403, headers=[("Sec-Fetch-Site", "cross-site")])
    assert running.document()["step"] == 1


def test_answers_tell_browsers_to_keep_off(running):
    r = fetch(running.admin_port, "GET", "/v1/rollouts", host="127.0.0.1")
    assert r.header("x-content-type-options") == "nosniff"
    assert "no-store" in r.header("cache-control")
    assert r.header("access-control-allow-origin") is None


def test_large_and_malformed_requests_do_no_harm(running):
    with Client(running.admin_port) as c:
        c.send(b"POST /v1/rollouts/chat/promote HTTP/1.1\r\nHost: localhost\r\n"
               b"Content-Type: application/json\r\nContent-Length: 9999999\r\n\r\n")
        assert c.response().status == 413
    with Client(running.admin_port) as c:
        c.send(b"\x00\x01\x02garbage\r\n\r\n")
        c.closed_by_peer()
    assert running.document()["step"] == 1


def test_health_pages(running):
    assert fetch(running.admin_port, "GET", "/healthz", host="127.0.0.1").status == 200
    assert fetch(running.admin_port, "GET", "/readyz", host="127.0.0.1").status == 200


def test_events_stream(running):
    """Past events first, then what happens, each with an id to resume from."""
    with Client(running.admin_port) as c:
        c.send_request("GET", "/v1/events", host="127.0.0.1")
        head = c.reader.head()
        assert head.status == 200
        assert head.header("content-type").startswith("text/event-stream")
        running.api("POST", "/v1/rollouts/chat/pause")
        text = ""
        while "rollout.paused" not in text:
            text += c.reader.chunk().decode()
    events = [e for e in text.split("\n\n") if "data:" in e]
    data = [
        json.loads(line[5:]) for e in events for line in e.splitlines() if line.startswith("data:")
    ]
    assert data[-1]["type"] == "rollout.paused"
    assert data[-1]["rollout"] == "chat"
    assert all(any(line.startswith("id:") for line in e.splitlines()) for e in events)


def test_events_resume_after_an_id(running):
    running.api("POST", "/v1/rollouts/chat/pause")
    running.api("POST", "/v1/rollouts/chat/resume")
    running.api("POST", "/v1/rollouts/chat/rollback")
    with Client(running.admin_port) as c:
        c.send_request("GET", "/v1/events", [("Last-Event-ID", "1")], host="127.0.0.1")
        c.reader.head()
        text = ""
        while "rollout.rolled_back" not in text:
            text += c.reader.chunk().decode()
    ids = [int(line[3:]) for line in text.splitlines() if line.startswith("id:")]
    assert ids == sorted(set(ids))
    assert ids[0] == 2


def test_metrics_page(running):
    with Load(running.port, rate=0, clients=2, count=300) as load:
        load.wait()
    running.request("GET", "/nobody/takes/this")
    m = running.metrics()  # parsed strictly
    assert m.value("sluice_requests_total", rollout="chat") == 300
    stable = m.value("sluice_requests_total", rollout="chat", variant="stable", version="1.0.0")
    canary = m.value("sluice_requests_total", rollout="chat", variant="canary", version="2.0.0")
    assert stable + canary == 300
    assert m.value("sluice_results_total", rollout="chat", result="ok") == 300
    assert m.value("sluice_weight_percent", rollout="chat") == 50
    assert m.value("sluice_unmatched_total") == 1
    for name, kind in m.types.items():
        assert name in m.helps
        if kind == "counter":
            assert name.endswith("_total"), name
    histograms = [n for n, kind in m.types.items() if kind == "histogram"]
    assert histograms
    for name in histograms:
        check_histogram(m, name)


# Their series begin with the first value: not every rollout streams or queues.
WHEN_USED = {"sluice_first_token_seconds", "sluice_token_gap_seconds", "sluice_queue_seconds"}


def check_histogram(m, name):
    series = {}
    for (metric, labels), value in m.items():
        if metric == name + "_bucket":
            labels = dict(labels)
            edge = float(labels.pop("le"))
            series.setdefault(frozenset(labels.items()), []).append((edge, value))
    assert bool(series) != (name in WHEN_USED), name
    for labels, buckets in series.items():
        buckets.sort()
        values = [v for _, v in buckets]
        assert values == sorted(values), (name, labels)
        assert buckets[-1][0] == float("inf")
        assert values[-1] == m[(name + "_count", labels)]
        assert (name + "_sum", labels) in m
