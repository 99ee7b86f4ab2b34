"""SIGTERM step by step, and SIGHUP: what still works meanwhile, and when it is over."""

import os
import signal
import threading
import time

import pytest

from http_wire import Client, WireError, wait_until
from sluice import FAST_GUARD, policy, steps


def refuses(port):
    try:
        Client(port).close()
        return False
    except OSError:
        return True


def opened(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass  # closed meanwhile


def hanging(go, started):
    def handler(request, c):
        if request.target == "/slow":
            started.set()
            go.wait(60)
        c.reply(200, b"{}")

    return handler


def test_the_health_path_fails_before_the_listeners_close(sluice, backend):
    """So that a load balancer goes away before anybody is refused."""
    s = sluice(
        policy("chat", backend("1.0.0")),
        config={"proxy": {"health_path": "/-/ready", "drain_delay": "3s"}},
    )
    with Client(s.port) as balancer:
        assert balancer.request("GET", "/-/ready").status == 200
        s.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        wait_until(lambda: balancer.request("GET", "/-/ready").status == 503, 10, "503")
        assert s.api("GET", "/readyz")[0] == 503
        for _ in range(20):  # whoever still comes is served, and may stay
            r = s.request()
            assert r.status == 200 and r.keep_alive()
        wait_until(lambda: refuses(s.port), 20, "closed listeners")
        assert time.monotonic() - began > 2.5
    assert s.process.wait(20) == 0


def test_a_canary_is_still_watched_while_the_process_leaves(sluice, backend):
    canary = backend("2.0.0")
    s = sluice(
        policy("chat", backend("1.0.0"), canary,
               first={"steps": steps(50, 100, hold="1h"), "analysis": {"burst_guard": FAST_GUARD}}),
        config={"proxy": {"drain_delay": "60s"}},
    )
    s.wait_weight(50, 10)
    s.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "run.draining" in s.log(), 10, "the drain")
    status, problem = s.api("POST", "/v1/rollouts/chat/promote")
    assert status == 409 and "Shutting down" in problem["title"]
    canary.error_rate = 1.0

    def rolled_back():
        for _ in range(20):
            s.request()
        return s.phase() == "rolled_back"

    wait_until(rolled_back, 30, "the rollback")
    assert {s.request().header("x-sluice-version") for _ in range(20)} == {"1.0.0"}
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(5) == -signal.SIGTERM
    s.process = None


def test_what_does_not_end_is_cut_and_counted(sluice, backend):
    go, started = threading.Event(), threading.Event()
    s = sluice(
        policy("chat", backend("1.0.0", hanging(go, started))),
        config={"proxy": {"drain_timeout": "1500ms"}},
    )
    clients = []
    for _ in range(3):
        clients.append(Client(s.port))
        started.clear()
        clients[-1].send_request("GET", "/slow")
        assert started.wait(10)
    began = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(20) == 0
    assert 1.4 < time.monotonic() - began < 10
    assert "run.cut requests=3 " in s.log()
    for c in clients:
        with pytest.raises(WireError):
            c.response()
        c.close()
    go.set()


def test_a_drain_with_nothing_to_wait_for_is_over_at_once(sluice, backend):
    s = sluice(policy("chat", backend("1.0.0")))
    began = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(20) == 0
    assert time.monotonic() - began < 5
    assert "run.stopped cut=0" in s.log() and "run.cut " not in s.log()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(sluice, backend, second):
    go, started = threading.Event(), threading.Event()
    s = sluice(policy("chat", backend("1.0.0", hanging(go, started))))
    with Client(s.port) as c:
        c.send_request("GET", "/slow")
        assert started.wait(10)
        s.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "run.draining" in s.log(), 10, "the drain")
        s.process.send_signal(second)
        assert s.process.wait(5) == -second
    s.process = None
    go.set()


def test_who_waits_in_the_queue_is_served(sluice, backend):
    """Connections that the kernel accepted before the signal, many more than one turn takes."""
    s = sluice(policy("chat", backend("1.0.0")), workers=1)
    clients = []
    s.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(300):
            clients.append(Client(s.port))
            clients[-1].send_request("GET", "/v1/models")
        s.process.send_signal(signal.SIGTERM)
    finally:
        s.process.send_signal(signal.SIGCONT)
    for c in clients:
        assert c.response().status == 200
        c.close()
    assert s.process.wait(20) == 0


def test_sighup_opens_the_access_log_anew_and_touches_no_connection(sluice, backend):
    go, started = threading.Event(), threading.Event()
    s = sluice(
        policy("chat", backend("1.0.0", hanging(go, started))),
        config={"proxy": {"access_log": {"to": "access.log", "sample": "100%"}}},
    )
    log, old = s.folder / "access.log", s.folder / "access.log.1"
    with Client(s.port) as idle, Client(s.port) as busy:
        assert idle.request("GET", "/before").status == 200
        wait_until(lambda: "/before" in log.read_text(), 10, "the line")
        busy.send_request("GET", "/slow")
        assert started.wait(10)
        log.rename(old)
        for times in (1, 2):
            s.process.send_signal(signal.SIGHUP)
            wait_until(lambda: s.log().count("run.reloaded") == times, 10, "the reload")
        assert "policies and configuration were not" in s.log()
        wait_until(log.exists, 10, "a new file")
        assert idle.request("GET", "/after").status == 200
        go.set()
        assert busy.response().status == 200
        wait_until(lambda: "/after" in log.read_text() and "/slow" in log.read_text(), 10, "lines")
    assert "/after" not in old.read_text()
    used = [path for path in opened(s.process.pid) if path.startswith(str(log))]
    assert used == [str(log)]


def test_sighup_with_no_way_to_open_the_log_keeps_the_old_one(sluice, backend, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    s = sluice(
        policy("chat", backend("1.0.0")),
        config={"proxy": {"access_log": {"to": str(folder / "access.log"), "sample": "100%"}}},
    )
    (folder / "access.log").rename(s.folder / "moved.log")
    folder.rmdir()
    s.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "access_log.reopen_failed" in s.log(), 10, "the error")
    assert s.request(target="/kept").status == 200
    wait_until(lambda: "/kept" in (s.folder / "moved.log").read_text(), 10, "the line")


def test_sighup_and_sigusr2_do_not_hurt_a_process_that_drains(sluice, backend):
    go, started = threading.Event(), threading.Event()
    s = sluice(policy("chat", backend("1.0.0", hanging(go, started))))
    with Client(s.port) as c:
        c.send_request("GET", "/slow")
        assert started.wait(10)
        s.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "run.draining" in s.log(), 10, "the drain")
        s.process.send_signal(signal.SIGHUP)
        s.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "upgrade.refused" in s.log() and "run.reloaded" in s.log(), 10, "both")
        go.set()
        assert c.response().status == 200
    assert s.process.wait(20) == 0
