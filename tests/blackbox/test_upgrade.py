"""SIGUSR2: another process takes over, and nobody who talks to sluice notices."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import sluice as sluice_module
from http_wire import Client, WireError, fetch, wait_until
from line import Line, all_end_well
from load import Load, failures
from sluice import SLUICE, free_port, policy, steps


@pytest.fixture
def line(sluice):
    """line(policies, …): a sluice, and the processes that will replace it."""
    with all_end_well() as lines:
        def make(*args, **kw):
            lines.append(Line(sluice(*args, **kw)))
            return lines[-1]

        yield make


class Newcomers:
    """Clients that use every connection once, until stop(); keeps what went wrong."""

    def __init__(self, port, count=3):
        self.port, self.served, self.wrong = port, 0, []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopping.is_set():
            try:
                r = fetch(self.port, "GET", "/v1/models", [("Connection", "close")])
                if r.status == 200:
                    self.served += 1
                else:
                    self.wrong.append(r.status)
            except (OSError, WireError) as e:
                self.wrong.append(repr(e))
            self.stopping.wait(0.005)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(30)


def streaming(go, started):
    """A backend's handler: /stream begins an event stream, and ends it when `go` is set."""

    def handler(request, c):
        if request.target != "/stream":
            c.reply(200, b"{}")
            return
        c.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
        )
        started.set()
        go.wait(60)
        c.send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    return handler


def test_under_load_nothing_is_lost_whatever_the_number_of_workers(line, backend):
    """Several upgrades in a row, with more and with fewer workers than sockets to take over."""
    b = backend("1.0.0")
    up = line(policy("chat", b), workers=2)
    s = up.sluice
    load, newcomers = Load(s.port, rate=300), Newcomers(s.port)
    try:
        for workers in (2, 5, 1, 3):
            seen, served = b.count, newcomers.served
            wait_until(
                lambda: b.count > seen + 100 and newcomers.served > served + 20, 20, "traffic"
            )
            up.rewrite(proxy={"workers": workers})
            up.upgrade()
        seen = b.count
        wait_until(lambda: b.count > seen + 200, 20, "traffic after the last one")
    finally:
        newcomers.stop()
        results = load.stop()
    assert not failures(results)
    assert not newcomers.wrong
    assert not [i for i, times in b.ids.items() if times > 1], "sent twice"
    for pid in up.pids[:-1]:
        assert up.wait_end(pid) == 0
    assert re.findall(r"proxy.listening .*workers=(\d)", s.log()) == ["2", "2", "5", "1", "3"]


def test_every_waiting_connection_is_served(line, backend):
    """Connections that were accepted by the kernel and by nobody else yet: the old process is kept
    from accepting by a stop, and the new one finds them in the queues that it inherits."""
    up = line(policy("chat", backend("1.0.0")), workers=3)
    s = up.sluice
    clients = []
    up.signal(signal.SIGSTOP)
    try:
        for _ in range(150):
            clients.append(Client(s.port))
            clients[-1].send_request("GET", "/v1/models")
        up.signal(signal.SIGUSR2)
    finally:
        up.signal(signal.SIGCONT)
    wait_until(lambda: up.said("upgrade.done "), 30, "upgraded")
    up.pids.append(int(re.findall(r"upgrade\.done pid=(\d+)", s.log())[-1]))
    for c in clients:
        assert c.response().status == 200
        c.close()


def test_a_stream_ends_well_on_the_old_process(line, backend):
    go, started = threading.Event(), threading.Event()
    up = line(policy("chat", backend("1.0.0", streaming(go, started))))
    s = up.sluice
    with Client(s.port) as client:
        client.send_request("GET", "/stream")
        assert started.wait(10)
        head = client.reader.head()
        assert client.reader.chunk() == b"data: 1\n\n"
        up.upgrade()
        assert s.request().status == 200
        assert up.ended(up.pids[0]) is None, "it still has a stream"
        go.set()
        assert client.reader.chunk() == b"data: [DONE]\n\n"
        assert client.reader.chunk() == b""
        assert head.status == 200
    assert up.wait_end(up.pids[0]) == 0


def test_what_is_too_long_for_the_drain_is_cut_and_counted(line, backend):
    go, started = threading.Event(), threading.Event()
    up = line(
        policy("chat", backend("1.0.0", streaming(go, started))),
        config={"proxy": {"drain_timeout": "2s"}},
    )
    with Client(up.sluice.port) as client:
        client.send_request("GET", "/stream")
        assert started.wait(10)
        up.upgrade()
        assert up.wait_end(up.pids[0]) == 0
        with pytest.raises(WireError):
            client.response()
    go.set()
    assert "run.cut requests=1 " in up.sluice.log()
    assert up.sluice.request().status == 200


def test_rollouts_go_on_where_they_stood(line, backend):
    up = line(
        policy("chat", backend("1.0.0"), backend("2.0.0"),
               first={"start": "manual", "steps": steps(25, 50, 75, hold="1h")})
    )
    s = up.sluice
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(25, 10)
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(50, 10)
    up.upgrade()
    document = s.document()
    assert (document["phase"], document["weight"], document["step"]) == ("progressing", 50, 2)
    versions = [s.request().header("x-sluice-version") for _ in range(60)]
    assert 5 < versions.count("2.0.0") < 55
    assert s.cli("rollback", "chat", "--reason", "test").returncode == 0
    s.wait_phase("rolled_back", 10)
    up.upgrade()
    assert s.phase() == "rolled_back"
    assert {s.request().header("x-sluice-version") for _ in range(20)} == {"1.0.0"}


def stream_on_newest(s):
    """(client, head) of a stream that began on a connection which may be used again; None where it
    was still the process before that took the connection, on its way out."""
    client = Client(s.port)
    client.send_request("GET", "/stream")
    head = client.reader.head()
    if head.keep_alive():
        return client, head
    client.close()
    return None


@pytest.mark.parametrize("rolled_back", [True, False])
def test_a_rollback_in_the_new_process_binds_those_before_it(line, backend, rolled_back):
    """Two processes drain, each with a connection that may ask once more: what the third decides
    holds for both."""
    go, started = threading.Event(), threading.Event()
    up = line(
        policy("chat", backend("1.0.0"), backend("2.0.0", streaming(go, started)),
               first={"start": "manual", "steps": steps(100, hold="1h")})
    )
    s = up.sluice
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(100, 10)
    clients = []
    for _ in range(2):
        clients.append(wait_until(lambda: stream_on_newest(s), 10, "a stream"))
        up.upgrade()
    assert s.document()["weight"] == 100
    if rolled_back:
        assert s.cli("rollback", "chat", "--reason", "test").returncode == 0
        s.wait_phase("rolled_back", 10)
    go.set()
    for c, head in clients:
        c.reader.body(head)
        r = c.request("GET", "/next")
        assert r.header("x-sluice-version") == ("1.0.0" if rolled_back else "2.0.0")
        assert not r.keep_alive()
        c.close()
    for pid in up.pids[:-1]:
        assert up.wait_end(pid) == 0


def test_a_policy_that_gives_the_canary_less_binds_those_before_it_at_once(line, backend):
    """Nothing is decided after the upgrade: the weight that the new process begins with counts."""
    go, started = threading.Event(), threading.Event()
    canary = backend("2.0.0", streaming(go, started))
    versions = backend("1.0.0"), canary
    up = line(policy("chat", *versions, first={"start": "manual", "steps": steps(100, hold="1h")}))
    s = up.sluice
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(100, 10)
    clients = [wait_until(lambda: stream_on_newest(s), 10, "a stream") for _ in range(8)]
    up.rewrite([policy("chat", *versions, first={"start": "manual", "steps": steps(1, 2, hold="1h")})])
    up.upgrade()
    assert s.document()["weight"] == 1
    go.set()
    served = []
    for c, head in clients:
        c.reader.body(head)
        served.append(c.request("GET", "/next").header("x-sluice-version"))
        c.close()
    assert served.count("1.0.0") >= 6, served
    assert up.wait_end(up.pids[0]) == 0


def test_after_a_promotion_the_next_policy_sends_nobody_back(line, backend):
    """What was the canary is stable by then: the weight 0 of the next canary is not its own."""
    go, started = threading.Event(), threading.Event()
    second = backend("2.0.0", streaming(go, started))
    first = {"start": "manual", "steps": steps(100, hold="1h")}
    up = line(policy("chat", backend("1.0.0"), second, first=first))
    s = up.sluice
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(100, 10)
    clients = [wait_until(lambda: stream_on_newest(s), 10, "a stream") for _ in range(4)]
    up.rewrite([policy("chat", second, backend("3.0.0"), first=first)])
    up.upgrade()
    s.wait_for(lambda d: d["canary"] == "3.0.0" and d["weight"] == 0, 10)
    go.set()
    for c, head in clients:
        c.reader.body(head)
        assert c.request("GET", "/next").header("x-sluice-version") == "2.0.0"
        c.close()
    assert up.wait_end(up.pids[0]) == 0


def test_a_bad_policy_leaves_everything_as_it_was(line, backend):
    up = line(policy("chat", backend("1.0.0")))
    s = up.sluice
    good = s.files[1].read_text()
    load, newcomers = Load(s.port, rate=200), Newcomers(s.port)
    try:
        s.files[1].write_text("rollout: chat\nstable: {version: 1, endpoint: nowhere}\n")
        why = up.fail_to_upgrade()
        assert "status 1" in why and "chat.yaml:2" in s.log()
        assert s.request().status == 200
        s.files[1].write_text(good)
        up.upgrade()
    finally:
        newcomers.stop()
        results = load.stop()
    assert not failures(results) and not newcomers.wrong


def test_a_listener_that_cannot_be_bound_leaves_everything_as_it_was(line, backend):
    up = line(policy("chat", backend("1.0.0")))
    s = up.sluice
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = [{"address": f"127.0.0.1:{s.port}"},
                  {"address": f"127.0.0.1:{taken.getsockname()[1]}"}]
        up.rewrite(proxy={"listen": listen})
        up.fail_to_upgrade()
        assert s.request().status == 200
        assert s.document()["phase"] == "idle"


def test_programs_that_do_not_come_up(tmp_path, backend, monkeypatch):
    """The binary is replaced by one that crashes, one that ends well, nothing, and at last by one
    that works: the first process serves through all of it and leaves no zombie."""
    program = tmp_path / "sluice"
    shutil.copy(SLUICE, program)
    monkeypatch.setattr(sluice_module, "SLUICE", program)
    s = sluice_module.Sluice(tmp_path / "run", [policy("chat", backend("1.0.0"))])
    up = Line(s)
    try:
        for text, why in (
            ("#!/bin/sh\nkill -SEGV $$\n", "signal 11"),
            ("#!/bin/sh\nexit 0\n", "status 0"),
            (None, "no such file"),
        ):
            program.unlink()
            if text is not None:
                program.write_text(text)
                program.chmod(0o755)
            assert why in up.fail_to_upgrade()
            assert s.request().status == 200
            children = open(f"/proc/{up.pid}/task/{up.pid}/children").read()
            assert children == "", "a zombie"
        shutil.copy(SLUICE, program)
        up.upgrade()
        assert s.request().status == 200
        up.end()
    finally:
        up.kill()
        s.kill()


@pytest.fixture
def held(tmp_path, monkeypatch, line, backend):
    """A sluice whose successors wait at their start until let go: (line, let_go)."""
    program, gate = tmp_path / "sluice-program", tmp_path / "gate"
    os.mkfifo(gate)
    program.symlink_to(SLUICE)
    monkeypatch.setattr(sluice_module, "SLUICE", program)
    up = line(policy("chat", backend("1.0.0")))
    program.unlink()
    program.write_text(f'#!/bin/sh\nread go <{gate}\nexec {SLUICE} "$@"\n')
    program.chmod(0o755)
    return up, lambda: gate.write_text("go\n")


def begin(up):
    """Starts an upgrade; the pid of the new process."""
    up.signal(signal.SIGUSR2)
    wait_until(lambda: up.said("upgrade.started "), 10, "the new process")
    return int(re.findall(r"upgrade\.started .*pid=(\d+)", up.sluice.log())[-1])


def test_a_second_request_while_one_is_under_way_is_refused(held):
    up, let_go = held
    child = begin(up)
    up.signal(signal.SIGUSR2)
    wait_until(lambda: up.said("upgrade.refused "), 10, "the refusal")
    assert "one is under way" in up.sluice.log()
    let_go()
    wait_until(lambda: up.said("upgrade.done "), 30, "the first done")
    up.pids.append(child)
    assert up.wait_end(up.pids[0]) == 0
    assert up.sluice.request().status == 200
    assert up.said("upgrade.started ") == 1


def test_sigterm_while_one_is_under_way_ends_both(held):
    up, _ = held
    child = begin(up)
    up.signal(signal.SIGTERM)
    assert up.wait_end(up.pid) == 0
    wait_until(lambda: not os.path.exists(f"/proc/{child}"), 10, "no orphan")
    with pytest.raises(OSError):
        Client(up.sluice.port)


def test_a_new_process_that_is_killed_before_it_is_ready(held):
    up, _ = held
    os.kill(begin(up), signal.SIGKILL)
    wait_until(lambda: up.said("upgrade.failed "), 10, "the failure")
    assert "signal 9" in up.sluice.log()
    assert up.sluice.request().status == 200
    assert up.sluice.phase() == "idle"


def test_decisions_go_on_until_the_new_process_is_there(held):
    """It may take its time, and is given what the rollouts stand at when it is ready."""
    up, let_go = held
    s = up.sluice
    child = begin(up)
    assert s.api("GET", "/readyz")[0] == 200
    status, _ = s.api("POST", "/v1/rollouts/chat/promote")
    assert status == 409  # it has no canary: the controller answers, not the upgrade
    let_go()
    wait_until(lambda: up.said("upgrade.done "), 30, "done")
    up.pids.append(child)


def test_the_admin_port_answers_all_the_time(line, backend):
    up = line(
        policy("chat", backend("1.0.0"), backend("2.0.0"),
               first={"start": "manual", "steps": steps(25, 50, hold="1h")})
    )
    s = up.sluice
    answers, wrong, stopping = [], [], threading.Event()

    def poll():
        while not stopping.is_set():
            try:
                answers.append(s.api("GET", "/v1/rollouts/chat")[0])
            except (OSError, WireError) as e:
                wrong.append(repr(e))

    poller = threading.Thread(target=poll, daemon=True)
    poller.start()
    with Client(s.admin_port) as kept, Client(s.admin_port) as watching:
        assert kept.request("GET", "/readyz", host="127.0.0.1").keep_alive()
        watching.send_request("GET", "/v1/events", host="127.0.0.1")
        assert watching.reader.head().status == 200
        up.upgrade()
        r = kept.request("GET", "/healthz", host="127.0.0.1")
        assert r.status == 200 and not r.keep_alive()
        while watching.reader.chunk():
            pass  # an event stream has its proper end; its client comes again
    seen = len(answers)
    wait_until(lambda: len(answers) > seen + 20, 10, "answers")
    stopping.set()
    poller.join(10)
    assert not wrong and set(answers) == {200}
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(25, 10)


def test_listeners_come_and_go(line, backend):
    up = line(policy("chat", backend("1.0.0")))
    s = up.sluice
    first, second = s.port, free_port()
    up.rewrite(proxy={"listen": [{"address": f"127.0.0.1:{second}"},
                                 {"address": f"127.0.0.1:{first}"}]})
    up.upgrade()
    assert fetch(second, "GET", "/").status == fetch(first, "GET", "/").status == 200
    assert up.wait_end(up.pids[0]) == 0
    up.rewrite(proxy={"listen": [{"address": f"127.0.0.1:{second}"}]})
    up.upgrade()
    assert up.wait_end(up.pids[1]) == 0
    assert fetch(second, "GET", "/").status == 200
    with pytest.raises(OSError):
        Client(first)


def test_a_port_that_was_chosen_stays(tmp_path, backend):
    """Port 0: the listener keeps the port that it was given at first."""
    (tmp_path / "sluice.yaml").write_text(
        json.dumps({
            "proxy": {"listen": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0"}]},
            "controller": {"admin": "127.0.0.1:0"},
        })
    )
    (tmp_path / "chat.yaml").write_text(json.dumps(policy("chat", backend("1.0.0"))))

    class Stub:  # as much of a Sluice as a Line needs
        folder = tmp_path

        def log(self):
            return (tmp_path / "log").read_text()

    def ports():
        return [int(p) for p in re.findall(r"listening .*127\.0\.0\.1:(\d+)", stub.log())]

    stub = Stub()
    with open(tmp_path / "log", "wb") as f:
        stub.process = subprocess.Popen(
            [SLUICE, "run", "sluice.yaml", "chat.yaml"],
            stdin=subprocess.DEVNULL, stdout=f, stderr=f, cwd=tmp_path,
        )
    up = Line(stub)
    try:
        wait_until(lambda: len(ports()) == 3, 20, "ports")
        up.upgrade()
        wait_until(lambda: len(ports()) == 6, 20, "ports again")
        before, after = ports()[:3], ports()[3:]
        assert before == after and len(set(before)) == 3
        assert fetch(before[0], "GET", "/").status == fetch(before[1], "GET", "/").status == 200
        up.end()
    finally:
        up.kill()


def descriptors(pid):
    kinds = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            # libuv opens a spare /dev/null per loop once it has had a connection.
            kinds.append(re.sub(r"\d+", "N", os.readlink(f"/proc/{pid}/fd/{fd}")))
        except OSError:
            pass
    return sorted(kind for kind in kinds if kind != "/dev/null")


def test_the_new_process_has_the_descriptors_that_it_needs_and_no_other(line, backend):
    """Also not one of a client, a backend, or the access log of the process before."""
    go, started = threading.Event(), threading.Event()
    up = line(
        policy("chat", backend("1.0.0", streaming(go, started))), workers=2,
        config={"proxy": {"access_log": {"to": "access.log", "sample": "100%"}}},
    )
    s = up.sluice
    fresh = descriptors(up.pid)
    client = Client(s.port)
    client.send_request("GET", "/stream")
    assert started.wait(10)
    for upgrades in (1, 2):
        up.upgrade()
        wait_until(lambda: up.said("admin.listening ") == upgrades + 1, 10, "up")
        # Each process also keeps the weights of those before it that may still drain.
        more = ["/memfd:sluice-weights (deleted)"] * upgrades
        wait_until(
            lambda: [d for d in descriptors(up.pid) if d != "socket:[N]"]
            == sorted([d for d in fresh if d != "socket:[N]"] + more),
            10, f"{descriptors(up.pid)} after {fresh}",
        )
        assert len(descriptors(up.pid)) <= len(fresh) + len(more)
    go.set()
    client.response()
    client.close()
