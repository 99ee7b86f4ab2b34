"""Start, restart and stop: what survives, what is said, and that nobody in flight is dropped."""

import json
import os
import re
import resource
import signal
import subprocess
import threading
import time

from http_wire import Client, WireError, fetch, wait_until
from load import Load, failures
from sluice import SLUICE, policy, steps


def test_restart_begins_at_weight_zero_and_says_so(sluice, backend):
    """Nothing is kept between processes: a new one starts the rollout over, never ahead."""
    s = sluice(
        policy("chat", backend("1.0.0"), backend("2.0.0"),
               first={"start": "manual", "steps": steps(25, 50, hold="1h")})
    )
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(25, 10)
    s.stop()
    (s.folder / "log").unlink()
    s.start()
    document = s.document()
    assert (document["phase"], document["weight"], document["step"]) == ("pending", 0, 0)
    assert "nothing was kept of an earlier run" in s.log(), s.log()


def test_sigterm_lets_requests_in_flight_finish(sluice, backend):
    started, go = threading.Event(), threading.Event()

    def handler(request, c):
        if request.target == "/slow":
            started.set()
            go.wait(10)
        c.reply(200, b"done")

    s = sluice(policy("chat", backend("1.0.0", handler)))
    with Client(s.port) as slow, Client(s.port) as idle:
        assert idle.request("GET", "/fast").status == 200
        slow.send_request("GET", "/slow")
        assert started.wait(10)
        s.process.send_signal(signal.SIGTERM)

        def refused():
            try:
                Client(s.port).close()
                return False
            except OSError:
                return True

        wait_until(refused, 10, "no new connections")
        assert idle.closed_by_peer()
        go.set()
        r = slow.response()
        assert (r.status, r.body) == (200, b"done")
        assert not r.keep_alive()
    assert s.process.wait(20) == 0


def test_sigint_stops_too(sluice, backend):
    s = sluice(policy("chat", backend("1.0.0")))
    s.process.send_signal(signal.SIGINT)
    assert s.process.wait(20) == 0


def test_sigterm_under_load_loses_nothing_that_was_accepted(sluice, backend):
    """Every request gets its whole answer, or its connection is closed before a byte of one: what a
    client may send again. Nothing is cut in the middle."""
    b = backend("1.0.0")
    s = sluice(policy("chat", b))
    load = Load(s.port, rate=400)
    wait_until(lambda: b.count > 200, 20, "traffic")
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(30) == 0
    results = load.stop()
    cut = [r for r in failures(results) if r.error and "inside a body" in r.error]
    assert not cut
    # Sent, answered by the backend, and not delivered: at most what was on a connection just then.
    delivered = {r.id for r in results if r.status == 200}
    assert len(set(b.ids) - delivered) == 0


def test_a_connection_in_use_gets_one_more_answer_in_a_drain(sluice, backend):
    """An answer that began before the drain did not say `close`, so its client asks again: that
    request is served, and told to be the last."""
    started, go = threading.Event(), threading.Event()

    def handler(request, c):
        if request.target == "/stream":
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
            started.set()
            go.wait(10)
            c.send(b"0\r\n\r\n")
        else:
            c.reply(200, b"last")

    s = sluice(policy("chat", backend("1.0.0", handler)))
    with Client(s.port) as client:
        client.send_request("GET", "/stream")
        assert started.wait(10)
        s.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "run.draining" in s.log(), 10, "the drain")
        go.set()
        assert client.response().keep_alive()
        r = client.request("GET", "/next")
        assert (r.status, r.body) == (200, b"last")
        assert not r.keep_alive()
    assert s.process.wait(20) == 0


def test_a_name_that_does_not_resolve_keeps_only_itself_from_serving(sluice, backend):
    s = sluice([
        policy("good", backend("1.0.0"), first={"match": {"paths": ["/good"]}}),
        policy("lost", ("1.0.0", ["http://no-such-host.invalid:80"]),
               first={"match": {"paths": ["/lost"]}}),
    ])
    assert s.request(target="/good").status == 200
    lost = s.request(target="/lost")
    assert lost.status == 502
    assert "no-such-host.invalid" in json.loads(lost.body)["error"]["message"]
    assert s.metrics().value("sluice_requests_total", rollout="lost", outcome="connect") == 1
    assert "endpoint.unresolved host=no-such-host.invalid" in s.log()


def test_without_policies_everything_is_404(sluice):
    s = sluice([])
    assert s.request().status == 404


def test_port_zero_is_announced(tmp_path, backend):
    """With port 0 the log says which ports were chosen."""
    (tmp_path / "sluice.yaml").write_text(
        json.dumps(
            {
                "proxy": {"listen": [{"address": "127.0.0.1:0"}], "workers": 2},
                "controller": {"admin": "127.0.0.1:0"},
            }
        )
    )
    (tmp_path / "chat.yaml").write_text(json.dumps(policy("chat", backend("1.0.0"))))
    log = tmp_path / "log"
    with open(log, "wb") as f:
        p = subprocess.Popen(
            [SLUICE, "run", tmp_path / "sluice.yaml", tmp_path / "chat.yaml"],
            stdin=subprocess.DEVNULL, stdout=f, stderr=f,
        )
    try:
        ports = wait_until(
            lambda: [int(n) for n in re.findall(r"127\.0\.0\.1:([1-9]\d+)", log.read_text())],
            20, "ports in the log",
        )

        def served():
            answers = set()
            for port in set(
                int(n) for n in re.findall(r"127\.0\.0\.1:([1-9]\d+)", log.read_text())
            ):
                try:
                    r = fetch(port, "GET", "/readyz", host="127.0.0.1")
                except (OSError, WireError):
                    continue
                answers.add((r.header("x-sluice-version") is not None, r.status))
            return {(True, 200), (False, 200)} <= answers

        wait_until(served, 20, f"a proxy and an admin API at one of {ports}")
    finally:
        p.terminate()
        p.wait(20)


def test_descriptors_run_out_and_come_back(sluice, backend):
    """Out of descriptors: no busy loop, no crash, and service again once there is room."""
    s = sluice(policy("chat", backend("1.0.0")), workers=1)
    soft, hard = resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{s.process.pid}/fd"))
    resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE, (used + 10, hard))
    clients = []
    try:
        for _ in range(60):
            try:
                clients.append(Client(s.port, timeout=2))
            except OSError:
                break
        before = s.cpu_seconds()
        time.sleep(1.0)
        assert s.cpu_seconds() - before < 0.6, "busy loop while out of descriptors"
        assert s.process.poll() is None
    finally:
        for c in clients:
            c.close()
    resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def serves():
        try:
            return s.request().status == 200
        except (OSError, WireError):
            return False

    wait_until(serves, 20, "service again")


def test_two_instances_do_not_know_each_other(sluice, backend):
    a = sluice(policy("chat", backend("1.0.0")))
    b = sluice(policy("chat", backend("2.0.0")))
    assert a.request().header("x-sluice-version") == "1.0.0"
    assert b.request().header("x-sluice-version") == "2.0.0"


def test_access_log(sluice, backend):
    failing = backend("1.0.0")
    s = sluice(
        policy("chat", failing),
        config={"proxy": {"access_log": {"to": "stdout", "sample": "100%", "errors": "all"}}},
    )
    s.request("GET", "/v1/models?key=1", [("X-Request-Id", "find-me")])
    failing.error_rate = 1.0
    s.request("POST", "/v1/chat", [("X-Request-Id", "failed")], b"{}")
    wait_until(lambda: "find-me" in s.stdout() and "failed" in s.stdout(), 10, "log lines")
    text = next(line for line in s.stdout().splitlines() if "find-me" in line)
    assert "/v1/models" in text and "200" in text and "1.0.0" in text
