"""Which rollout takes a request: exact host over wildcard over none, then the longest path, then
more conditions."""

import pytest

from http_wire import Client
from sluice import policy


@pytest.fixture
def routes(sluice, backend):
    """routes({name: match}) starts sluice with a rollout each; returns ask(target, host, …) → the
    name of the rollout that answered, or the status."""

    def make(matches):
        policies = []
        for name, match in matches.items():
            first = {"match": match} if match else {}
            policies.append(policy(name, backend(f"of-{name}"), first=first))
        s = sluice(policies)

        def ask(target, host="none.test", method="GET", headers=()):
            r = s.request(method, target, headers, host=host)
            if r.status != 200:
                return r.status
            return r.header("x-sluice-version").removeprefix("of-")

        return ask

    return make


def test_by_host(routes):
    ask = routes({"a": {"hosts": ["a.example.com"]}, "b": {"hosts": ["b.example.com"]}})
    assert ask("/", "a.example.com") == "a"
    assert ask("/", "b.example.com") == "b"
    assert ask("/", "B.EXAMPLE.com:8080") == "b"  # neither case nor port matter
    assert ask("/", "c.example.com") == 404


def test_host_precedence(routes):
    ask = routes(
        {
            "exact": {"hosts": ["chat.models.example.com"]},
            "wild": {"hosts": ["*.models.example.com"]},
            "any": None,
        }
    )
    assert ask("/", "chat.models.example.com") == "exact"
    assert ask("/", "other.models.example.com") == "wild"
    assert ask("/", "models.example.com") == "any"
    assert ask("/", "example.org") == "any"


def test_host_goes_before_path(routes):
    ask = routes({"host": {"hosts": ["a.test"]}, "path": {"paths": ["/v1/very/long/"]}})
    assert ask("/v1/very/long/x", "a.test") == "host"
    assert ask("/v1/very/long/x", "b.test") == "path"


def test_longest_path_wins(routes):
    ask = routes(
        {"all": None, "v1": {"paths": ["/v1/"]}, "chat": {"paths": ["/v1/chat/", "/chat"]}}
    )
    assert ask("/v1/chat/completions") == "chat"
    assert ask("/v1/embeddings") == "v1"
    assert ask("/chat?x=/v1/") == "chat"
    assert ask("/v2/") == "all"


def test_more_conditions_win(routes):
    ask = routes(
        {
            "plain": {"paths": ["/v1/"]},
            "post": {"paths": ["/v1/"], "methods": ["POST"]},
            "acme": {"paths": ["/v1/"], "methods": ["POST"], "headers": {"x-tenant": "acme"}},
        }
    )
    assert ask("/v1/x") == "plain"
    assert ask("/v1/x", method="POST") == "post"
    assert ask("/v1/x", method="POST", headers=[("X-Tenant", "acme")]) == "acme"
    assert ask("/v1/x", method="POST", headers=[("X-Tenant", "acme2")]) == "post"
    assert ask("/v1/x", headers=[("X-Tenant", "acme")]) == "plain"


def test_dot_segments_do_not_get_round_a_path(routes):
    """A backend may resolve /v1/../admin; it must not be reached through /v1/'s rollout as that."""
    ask = routes({"v1": {"paths": ["/v1/"]}, "admin": {"paths": ["/admin/"]}})
    assert ask("/admin/x") == "admin"
    assert ask("/other") == 404


def test_rollouts_do_not_share_counts(routes, sluice, backend):
    a, b = backend("a-1"), backend("b-1")
    s = sluice(
        [
            policy("a", a, first={"match": {"paths": ["/a/"]}}),
            policy("b", b, first={"match": {"paths": ["/b/"]}}),
        ]
    )
    for _ in range(3):
        assert s.request("GET", "/a/x").status == 200
    assert s.request("GET", "/b/x").status == 200
    m = s.metrics()
    assert m.value("sluice_requests_total", rollout="a", outcome="ok") == 3
    assert m.value("sluice_requests_total", rollout="b", outcome="ok") == 1


def test_weights_of_endpoints_hold_with_little_traffic(sluice, backend):
    """One request at a time: the weights alone must share them out."""
    backends = [backend("1.0.0") for _ in range(3)]
    endpoints = [{"url": b.url, "weight": w} for b, w in zip(backends, (7, 2, 1))]
    s = sluice(policy("chat", ("1.0.0", endpoints)))
    with Client(s.port) as client:
        for _ in range(600):
            assert client.request("GET", "/").status == 200
    counts = [b.count for b in backends]
    assert sum(counts) == 600
    for count, share in zip(counts, (0.7, 0.2, 0.1)):
        assert abs(count - 600 * share) < 5 * (600 * share * (1 - share)) ** 0.5, counts
