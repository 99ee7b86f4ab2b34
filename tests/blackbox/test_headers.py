"""What sluice adds, keeps and removes on the way, by RFC 9110 section 7.6 and W3C trace context."""

import re

import pytest

from http_wire import Client
from sluice import policy

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def seen(front):
    """seen(headers, …) → (the request as the backend got it, the response)."""
    s, b = front()

    def make(headers=(), method="GET", **kw):
        r = s.request(method, "/v1/x", headers, **kw)
        assert r.status == 200
        return b.requests[-1], r

    make.port = s.port
    make.backend = b
    return make


def test_host_is_preserved(seen):
    request, _ = seen(host="models.example.com:8443")
    assert request.all("host") == ["models.example.com:8443"]


def test_request_id_is_kept(seen):
    request, response = seen([("X-Request-Id", "mine-1")])
    assert request.all("x-request-id") == ["mine-1"]
    assert response.header("x-request-id") in (None, "mine-1")


def test_request_id_is_created(seen):
    ids = {seen()[0].header("x-request-id") for _ in range(20)}
    assert len(ids) == 20
    assert all(i and len(i) >= 16 for i in ids)


def test_traceparent_goes_through(seen):
    """sluice records no spans of its own, so the parent stays the caller's."""
    request, _ = seen([("traceparent", TRACEPARENT), ("tracestate", "a=1,b=2")])
    assert request.all("traceparent") == [TRACEPARENT]
    assert request.header("tracestate") == "a=1,b=2"


def test_malformed_traceparent_does_not(seen):
    request, _ = seen([("traceparent", "00-xyz-1-1"), ("tracestate", "a=1")])
    assert "00-xyz-1-1" not in request.all("traceparent")
    assert request.header("tracestate") is None


def test_forwarded_for_says_who(seen):
    request, _ = seen()
    assert request.all("x-forwarded-for") == ["127.0.0.1"]
    assert request.header("x-forwarded-proto") == "http"
    assert request.header("x-forwarded-host") == "api.example.com"


def test_forwarded_for_of_strangers_is_replaced(seen):
    request, _ = seen([("X-Forwarded-For", "203.0.113.7")])
    assert ", ".join(request.all("x-forwarded-for")) == "127.0.0.1"


def test_via_is_added_both_ways(seen):
    request, response = seen([("Via", "1.0 fred")])
    via = ", ".join(request.all("via"))
    assert re.fullmatch(r"1\.0 fred, (HTTP/)?1\.1 \S+", via)
    assert response.header("via") is None or re.search(r"1\.1 \S+", response.header("via"))


HOP_BY_HOP = [
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Connection", "keep-alive"),
    ("TE", "trailers, deflate"),
    ("Trailer", "X-T"),
    ("Upgrade", "h2c"),
    ("Proxy-Authorization", "Basic eDp5"),
]


@pytest.mark.parametrize("name,value", HOP_BY_HOP, ids=[n for n, _ in HOP_BY_HOP])
def test_hop_by_hop_fields_stay_here(seen, name, value):
    request, _ = seen([(name, value), ("Connection", "keep-alive")])
    if name != "TE":  # "TE: trailers" may be sight of our own
        assert request.header(name) is None
    else:
        assert request.header(name) in (None, "trailers")
    assert "keep-alive" not in (request.header("connection") or "keep-alive_").split(", ")


def test_fields_nominated_by_connection_are_removed(seen):
    request, _ = seen([("Connection", "keep-alive, X-Secret"), ("X-Secret", "1"), ("X-Open", "2")])
    assert request.header("x-secret") is None
    assert request.header("x-open") == "2"


def test_framing_fields_survive_nomination(seen):
    request, _ = seen(
        [("Connection", "content-length, host, transfer-encoding")], method="POST", body=b"12345"
    )
    assert request.header("content-length") == "5"
    assert request.body == b"12345"
    assert request.header("host") == "api.example.com"


def test_answers_hop_by_hop_fields_stay_here_too(front):
    def handler(request, c):
        c.reply(200, b"x", [("Connection", "X-Inner"), ("X-Inner", "1"), ("Keep-Alive", "max=9"),
                            ("X-Outer", "2"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    s, _ = front(handler)
    r = s.request()
    assert r.header("x-inner") is None
    assert r.header("keep-alive") is None
    assert r.header("x-outer") == "2"
    assert r.all("set-cookie") == ["a=1", "b=2"]


def test_version_that_answered_is_named(seen):
    _, response = seen()
    assert response.all("x-sluice-version") == ["1.0.0"]


def test_repeated_and_odd_fields_arrive_as_sent(seen):
    headers = [("X-A", "1"), ("x-b", "  spaced  "), ("X-A", "2"), ("Cookie", "a=1; b=\"x y\""),
               ("X-Empty", ""), ("X-Latin", "caf\xe9"), ("Authorization", "Bearer t0k.en")]
    request, _ = seen(headers)
    assert request.all("x-a") == ["1", "2"]
    assert request.header("x-b") == "spaced"
    assert request.header("cookie") == 'a=1; b="x y"'
    assert request.header("x-empty") == ""
    assert request.header("x-latin") == "caf\xe9"
    assert request.header("authorization") == "Bearer t0k.en"


def test_absolute_target_replaces_host(seen):
    with Client(seen.port) as c:
        c.send(b"GET http://other.example.com/v1/y?z=1 HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        assert c.response().status == 200
    request = seen.backend.requests[-1]
    assert request.target == "/v1/y?z=1"
    assert request.all("host") == ["other.example.com"]


def test_client_cannot_claim_a_version(seen):
    """x-sluice-… fields of a client must not confuse who reads the backend's logs."""
    _, response = seen([("X-Sluice-Version", "9.9.9")])
    assert response.all("x-sluice-version") == ["1.0.0"]


FORWARDED = [("X-Forwarded-For", "192.0.2.66, 203.0.113.7"), ("X-Forwarded-Proto", "https"),
             ("X-Forwarded-Host", "public.example.com")]


def test_a_trusted_proxys_word_is_kept_and_continued(front):
    s, b = front(config={"proxy": {"trusted_proxies": ["127.0.0.1/32"]}})
    s.request(headers=FORWARDED)
    request = b.requests[-1]
    assert ", ".join(request.all("x-forwarded-for")) == "192.0.2.66, 203.0.113.7, 127.0.0.1"
    assert request.all("x-forwarded-proto") == ["https"]
    assert request.all("x-forwarded-host") == ["public.example.com"]


def test_anybody_elses_word_is_not(front):
    s, b = front(config={"proxy": {"trusted_proxies": ["10.0.0.0/8", "::1/128"]}})
    s.request(headers=FORWARDED + [("Forwarded", "for=192.0.2.66")])
    request = b.requests[-1]
    assert request.all("x-forwarded-proto") == ["http"]
    assert request.all("x-forwarded-host") == ["api.example.com"]
    assert request.header("forwarded") is None


@pytest.mark.parametrize("mode", ["preserve", "endpoint", "models.internal:81"])
def test_the_host_that_a_backend_sees(front, mode):
    s, b = front(upstream={"host": mode})
    with Client(s.port) as c:
        for _ in range(2):
            assert c.request("GET", "/v1/x").status == 200
    seen = {"preserve": "api.example.com", "endpoint": f"127.0.0.1:{b.port}"}.get(mode, mode)
    assert [r.all("host") for r in b.requests] == [[seen]] * 2
    assert b.requests[-1].all("x-forwarded-host") == ["api.example.com"]


def test_the_host_of_the_endpoint_that_is_asked(sluice, backend):
    """A second attempt at another endpoint carries that one's name."""
    bad = backend("1.0.0", lambda request, c: c.reset())
    good = backend("1.0.0")
    s = sluice(policy("chat", [bad, good], upstream={"host": "endpoint",
                                                     "retries": {"max": 1, "budget": "100%"}}))
    for _ in range(10):
        assert s.request().status == 200
    for b in (bad, good):
        assert {r.header("host") for r in b.requests} == {f"127.0.0.1:{b.port}"}


def test_fields_that_the_policy_sets_and_removes(front):
    s, b = front(upstream={"request_headers": {"set": {"x-team": "ml", "x-empty": ""},
                                               "remove": ["cookie", "x-debug"]}})
    s.request(headers=[("X-Team", "mine"), ("X-Team", "again"), ("Cookie", "a=1"), ("X-Debug", "1"),
                       ("X-Other", "kept")])
    request = b.requests[-1]
    assert request.all("x-team") == ["ml"]
    assert request.all("x-empty") == [""]
    assert request.header("cookie") is None and request.header("x-debug") is None
    assert request.header("x-other") == "kept"
