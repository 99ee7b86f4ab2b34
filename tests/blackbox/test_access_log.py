"""access_log: a JSON object per line, errors always and a sample of the rest, with what an on-call
person asks first, and nothing a client can forge a line with."""

import json
import re
import threading
import time

import pytest

from http_wire import Client, wait_until
from sluice import policy

ALL = {"to": "stdout", "sample": "100%", "errors": "all"}


def log_config(**keys):
    return {"proxy": {"access_log": {**ALL, **keys}, "workers": 1}}


def entries(s):
    return [json.loads(line) for line in s.stdout().splitlines()]


def entry(s, request_id):
    """The one line of a request."""
    def found():
        return [e for e in entries(s) if e["request_id"] == request_id]

    wait_until(found, 10, f"a line of {request_id}\n{s.stdout()}")
    assert len(found()) == 1
    return found()[0]


def ask(s, request_id, method="GET", target="/v1/x", headers=(), **kw):
    return s.request(method, target, [("X-Request-Id", request_id), *headers], **kw)


def test_what_a_line_says(front):
    def handler(request, c):
        time.sleep(0.1)
        c.reply(200, b"x" * 1000)

    s, b = front(handler, config=log_config())
    ask(s, "one", "POST", "/v1/chat?key=secret", body=b"hello")
    e = entry(s, "one")
    assert (e["rollout"], e["variant"], e["version"]) == ("chat", "stable", "1.0.0")
    assert e["endpoint"] == f"127.0.0.1:{b.port}"
    assert (e["method"], e["path"], e["status"], e["outcome"]) == ("POST", "/v1/chat", 200, "ok")
    assert (e["attempts"], e["bytes_in"], e["bytes_out"]) == (1, 5, 1000)
    assert e["client"] == "127.0.0.1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", e["time"])
    assert 0 <= e["connect_ms"] <= e["first_byte_ms"] <= e["total_ms"]
    assert 90 < e["first_byte_ms"] < 3000
    assert "secret" not in s.stdout()  # a query may hold a key


def test_no_line_without_the_key(front):
    s, _ = front()
    ask(s, "one")
    s.stop()
    assert s.stdout() == ""


def test_errors_are_always_written(front):
    """A sample of nothing, and still every error."""

    def handler(request, c):
        c.reply(int(request.target.rpartition("/")[2]), b"x")

    s, _ = front(handler, config=log_config(sample="0%"))
    for status in (200, 404, 429, 500, 200, 503):
        ask(s, f"id-{status}", target=f"/v1/{status}")
    entry(s, "id-503")
    assert [e["status"] for e in entries(s)] == [404, 429, 500, 503]
    assert [e["outcome"] for e in entries(s)] == ["4xx", "429", "5xx", "5xx"]


def test_errors_can_be_sampled_too(front):
    s, _ = front(lambda request, c: c.reply(500, b"x"), config=log_config(sample="0%",
                                                                           errors="sampled"))
    ask(s, "one")
    s.stop()
    assert s.stdout() == ""


def test_a_share_is_sampled(front):
    s, _ = front(config=log_config(sample="25%"))
    with Client(s.port) as c:
        for n in range(800):
            assert c.request("GET", "/v1/x", [("X-Request-Id", f"id-{n}")]).status == 200
    s.stop()
    assert 140 <= len(entries(s)) <= 260  # five standard errors


EVIL = ["/v1/\"}{\"status\":200", "/v1/%0a%0d", "/v1/\\u0000\\", "/v1/'<script>", "/v1/\x7e"]


@pytest.mark.parametrize("target", EVIL)
def test_nothing_a_client_sends_breaks_a_line(front, target):
    s, _ = front(config=log_config())
    with Client(s.port) as c:
        c.send(b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: h\r\n"
               b"X-Request-Id: id\"},{\"a\":\"b\r\n\r\n")
        status = c.response().status
    s.stop()
    lines = entries(s)  # each line is JSON
    assert [e["status"] for e in lines] == [status]
    assert lines[0]["path"] == target.split("?")[0]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", s.stdout())


def test_control_bytes_never_land_in_a_log(front):
    """Refused, and what is written of them is escaped; in metrics too."""
    s, _ = front(config=log_config())
    for byte in (b"\x1b[31m", b"\x07", b"\x00", b"\xff", b"\x9b"):
        with Client(s.port) as c:
            c.send(b"GET /v1/" + byte + b" HTTP/1.1\r\nHost: h\r\n"
                   b"X-Request-Id: a" + byte + b"\r\n\r\n")
            c.response()
    s.metrics()  # parsed strictly
    s.stop()
    for line in (s.stdout() + s.log()).splitlines():
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", line), repr(line)
    entries(s)


def test_a_clients_abort_is_499(front):
    arrived = threading.Event()

    def handler(request, c):
        arrived.set()
        c.sock.recv(1)
        c.close_after = True

    s, _ = front(handler, config=log_config(sample="0%"))
    c = Client(s.port)
    c.send_request("GET", "/v1/x", [("X-Request-Id", "gone")])
    assert arrived.wait(5)
    time.sleep(0.1)
    c.close()
    e = entry(s, "gone")
    assert (e["status"], e["outcome"]) == (499, "client_abort")


def test_what_sluice_refuses_itself(front):
    """No rollout took it, and the line says so by leaving it out."""
    s, _ = front(config=log_config(), match={"paths": ["/v1/"]})
    ask(s, "nowhere", target="/other")
    e = entry(s, "nowhere")
    assert e["status"] == 404
    assert e["error"].startswith("no_rollout: ")
    assert not e.get("rollout") and not e.get("version")


def test_a_shielded_request(pair):
    s, stable, canary = pair(canary=lambda request, c: c.reply(500, b"no"),
                             config={"proxy": {"access_log": ALL}})
    assert ask(s, "two").status == 200
    e = entry(s, "two")
    assert (e["status"], e["outcome"], e["attempts"]) == (200, "shielded", 2)
    assert (e["variant"], e["version"]) == ("stable", "1.0.0")
    assert e["endpoint"] == f"127.0.0.1:{stable.port}"
    assert (e["first_variant"], e["first_outcome"]) == ("canary", "5xx")
    assert e["error"] == "upstream_status: the canary answered 500"


def test_a_request_that_waited(front):
    def handler(request, c):
        time.sleep(0.3)
        c.reply(200, b"ok")

    s, _ = front(handler, config=log_config(), upstream={"max_requests": 1})
    first = Client(s.port)
    first.send_request("GET", "/v1/x", [("X-Request-Id", "first")])
    time.sleep(0.1)
    ask(s, "second")
    first.response()
    first.close()
    assert 100 < entry(s, "second")["queue_ms"] < 3000
    assert "queue_ms" not in entry(s, "first")


def test_a_stream(front):
    def handler(request, c):
        c.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n")
        time.sleep(0.2)
        for _ in range(3):
            c.send(b'30\r\ndata: {"choices":[{"delta":{"content":"Hi"}}]}\n\n\r\n')
        c.send(b"0\r\n\r\n")

    s, _ = front(handler, config=log_config(), protocol="openai")
    ask(s, "stream", "POST", body=b"{}")
    e = entry(s, "stream")
    assert (e["status"], e["outcome"], e["tokens"]) == (200, "truncated", 3)
    assert e["first_byte_ms"] < e["first_token_ms"]
    assert e["first_token_ms"] > 150


def test_the_client_behind_a_trusted_proxy(sluice, backend):
    config = log_config()
    config["proxy"]["trusted_proxies"] = ["127.0.0.0/8", "10.0.0.0/8"]
    s = sluice(policy("chat", backend("1.0.0")), config=config)
    ask(s, "far", headers=[("X-Forwarded-For", "192.0.2.66, 203.0.113.7, 10.1.2.3")])
    assert entry(s, "far")["client"] == "203.0.113.7"


def test_a_long_path_is_cut(front):
    s, _ = front(config=log_config())
    ask(s, "long", target="/v1/" + "x" * 5000)
    assert entry(s, "long")["path"].startswith("/v1/xxx")
    assert len(s.stdout()) < 5000
