"""The two sides of an upgrade, each against a partner that breaks off or breaks the rules: what the
tests of whole upgrades (test_upgrade.py) cannot make a good partner do."""

import array
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import sluice as sluice_module
from http_wire import Client, wait_until
from line import Line, all_end_well
from sluice import SLUICE, Sluice, free_port, policy, steps
from test_systemd import Manager

PROXY, ADMIN, WEIGHTS, COMPLETE, PREPARED, STATES, READY = range(1, 8)
LAYOUT = "=8sIIII64s"

# What a new process of ours does instead: it has `sock`, say(kind) and hear().
SUCCESSOR = f"""#!{sys.executable}
import os, signal, socket, struct, sys, time
sock = socket.socket(fileno=int(os.environ["SLUICE_HANDOVER"]))
sock.setblocking(True)
def say(kind, version=1, magic=b"sluiceHO"):
    sock.send(struct.pack("{LAYOUT}", magic, version, kind, 0, 0, b""))
def hear():
    return struct.unpack("{LAYOUT}", sock.recv(4096))[2]
def hear_all():
    while hear() != {COMPLETE}:
        pass
def sleep():
    time.sleep(120)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch, sluice, backend):
    """stand_in(text, …): a Line whose next process is this Python text."""
    program = tmp_path / "sluice-program"
    program.symlink_to(SLUICE)
    monkeypatch.setattr(sluice_module, "SLUICE", program)
    with all_end_well() as lines:
        def make(text, canary=True, **kw):
            versions = [backend("1.0.0")] + ([backend("2.0.0")] if canary else [])
            first = {"start": "manual", "steps": steps(25, 50, hold="1h")} if canary else {}
            lines.append(Line(sluice(policy("chat", *versions, first=first), **kw)))
            program.unlink()
            program.write_text(SUCCESSOR + text)
            program.chmod(0o755)
            return lines[-1]

        yield make


def assert_as_before(up, pid):
    s = up.sluice
    assert up.ended(pid) is None
    assert s.request().status == 200
    assert open(f"/proc/{pid}/task/{pid}/children").read() == "", "a zombie"
    assert s.api("POST", "/v1/rollouts/chat/promote")[0] == 200
    s.wait_weight(25, 10)


@pytest.mark.parametrize(
    "text, why",
    [
        ("sock.close()\nsys.exit(3)\n", "status 3"),
        ("sock.send(b'GET / HTTP/1.1')\nsleep()\n", "another version"),
        ("sock.send(b'x' * 5000)\nsleep()\n", "another version"),
        (f"say({PREPARED}, magic=b'otherWAY')\nsleep()\n", "another version"),
        (f"say({PREPARED}, version=2)\nsleep()\n", "another version"),
        ("say(99)\nsleep()\n", "another version"),
        (f"say({READY})\nsleep()\n", "broke the rules"),
        (f"hear_all()\nsay({PREPARED})\nsay({PREPARED})\nsleep()\n", "broke the rules"),
        (f"hear_all()\nsay({PREPARED})\nassert hear() == {STATES}\nsys.exit(4)\n", "status 4"),
        (f"hear_all()\nsay({PREPARED})\nos.kill(os.getpid(), signal.SIGSEGV)\n", "signal 11"),
        (f"say({COMPLETE})\nsleep()\n", "broke the rules"),
    ],
    ids=["closes", "other-bytes", "too-long", "magic", "version", "kind", "ready-first",
         "prepared-twice", "ends-with-the-states", "crashes-with-the-states", "wrong-side"],
)
def test_a_successor_that_breaks_off_changes_nothing(stand_in, text, why):
    up = stand_in(text)
    assert why in up.fail_to_upgrade()
    assert_as_before(up, up.pid)


def test_a_successor_that_hangs_with_the_states_does_not_keep_us_from_deciding(stand_in):
    """Between PREPARED and READY a failing canary would stay: so that is short."""
    up = stand_in(f"hear_all()\nsay({PREPARED})\nhear()\nsleep()\n")
    s = up.sluice
    up.signal(signal.SIGUSR2)
    wait_until(lambda: "Being replaced" in str(s.api("POST", "/v1/rollouts/chat/resume")), 10,
               "the freeze")
    began = time.monotonic()
    wait_until(lambda: up.said("upgrade.failed "), 20, "the failure")
    assert time.monotonic() - began < 10
    assert "within 5 s" in s.log()
    assert_as_before(up, up.pid)


def test_an_upgrade_that_a_stop_breaks_off_is_not_told_as_serving(stand_in, tmp_path):
    """The service manager hears STOPPING=1 last."""
    manager = Manager(str(tmp_path / "notify"))
    try:
        up = stand_in("sleep()\n", prefix=("env", f"NOTIFY_SOCKET={manager.path}"))
        up.signal(signal.SIGUSR2)
        wait_until(lambda: up.said("upgrade.started "), 10, "the new process")
        up.signal(signal.SIGHUP)
        wait_until(lambda: up.said("run.reloaded "), 10, "a reload meanwhile")
        up.signal(signal.SIGTERM)
        assert up.wait_end(up.pid) == 0
        states = [next(k for k in ("STOPPING", "RELOADING", "READY") if k in m)
                  for _, m in manager.read()]
        assert states == ["READY", "RELOADING", "STOPPING"]
        assert "this process ends as it was told" in up.sluice.log()
    finally:
        manager.close()


@pytest.mark.parametrize("sig", [signal.SIGHUP, signal.SIGUSR2])
def test_signals_within_a_drain_leave_it_a_drain(sluice, backend, tmp_path, sig):
    manager = Manager(str(tmp_path / "notify"))
    go, started = threading.Event(), threading.Event()

    def handler(request, c):
        started.set()
        go.wait(60)
        c.reply(200, b"late")

    try:
        s = sluice(policy("chat", backend("1.0.0", handler)),
                   prefix=("env", f"NOTIFY_SOCKET={manager.path}"))
        with Client(s.port) as client:
            client.send_request("GET", "/late")
            assert started.wait(10)
            s.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "run.draining" in s.log(), 10, "the drain")
            s.process.send_signal(sig)
            said = "run.reloaded" if sig == signal.SIGHUP else "upgrade.refused"
            wait_until(lambda: said in s.log(), 10, said)
            go.set()
            assert client.response().body == b"late"
        assert s.process.wait(20) == 0
        assert [sorted(m) for _, m in manager.read()] == [["MAINPID", "READY", "STATUS"],
                                                          ["STATUS", "STOPPING"]]
    finally:
        manager.close()


# --- the new process against a predecessor that breaks off ---


class Predecessor:
    """Starts a sluice as if it were to replace this one, which listens on its port."""

    def __init__(self, folder, backend, workers=3):
        self.s = Sluice(folder, [policy("chat", backend("1.0.0"))], workers=workers, start=False)
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.settimeout(20)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.listener.bind(("127.0.0.1", self.s.port))
        self.listener.listen(256)
        self.listener.setblocking(False)
        self.admin = socket.create_server(("127.0.0.1", self.s.admin_port))
        with open(self.s.folder / "log", "wb") as log:
            self.s.process = subprocess.Popen(
                [SLUICE, "run", *self.s.files], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "SLUICE_HANDOVER": str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
            )
        theirs.close()

    def say(self, kind, fds=(), text=b"", group=0, version=1, count=None):
        packet = struct.pack(LAYOUT, b"sluiceHO", version, kind, group,
                             len(fds) if count is None else count, text)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.ours.sendmsg([packet], rights)

    def hear(self):
        return struct.unpack(LAYOUT, self.ours.recv(4096))[2]

    def hand_sockets(self):
        self.say(PROXY, [self.listener.fileno()], f"127.0.0.1:{self.s.port}".encode())
        self.say(ADMIN, [self.admin.fileno()], f"127.0.0.1:{self.s.admin_port}".encode())

    def states(self, text=b"{}"):
        fd = os.memfd_create("states")
        os.write(fd, text)
        self.say(STATES, [fd])
        os.close(fd)

    def close(self):
        self.ours.close()
        self.listener.close()
        self.admin.close()
        self.s.kill()


@pytest.fixture
def predecessor(tmp_path, backend):
    p = Predecessor(tmp_path / "sluice", backend)
    yield p
    p.close()


def assert_refuses(p, why):
    """It ends, with one line that says why, and nobody was served by it."""
    assert p.s.process.wait(30) == 1, p.s.log()
    assert why in p.s.log()
    assert "Sanitizer" not in p.s.log(), p.s.log()


def test_gone_between_the_states_and_ready(predecessor):
    """Nothing was taken from the queue: who waits there can still be served."""
    p = predecessor
    waiting = [Client(p.s.port) for _ in range(20)]
    for c in waiting:
        c.send_request("GET", "/v1/models")
    p.hand_sockets()
    p.say(COMPLETE)
    assert p.hear() == PREPARED
    p.s.process.send_signal(signal.SIGSTOP)  # so that READY comes too late
    p.states()
    p.ours.close()
    p.s.process.send_signal(signal.SIGCONT)
    assert_refuses(p, "gone away")
    for _ in waiting:
        connection, _ = p.listener.accept()
        connection.setblocking(True)
        assert connection.recv(4096).startswith(b"GET /v1/models")
        connection.close()
    for c in waiting:
        c.close()


def test_all_goes_well_with_any_partner(predecessor):
    """The other tests here mean something only if this one passes. New sockets beside the inherited
    one take part only now."""
    p = predecessor
    p.hand_sockets()
    p.say(COMPLETE)
    assert p.hear() == PREPARED
    p.states()
    assert p.hear() == READY
    assert p.ours.recv(1) == b""
    for _ in range(30):
        assert p.s.request().status == 200
    assert p.s.stop() == 0


@pytest.mark.parametrize(
    "act, why",
    [
        (lambda p: p.ours.close(), "gone away"),
        (lambda p: p.ours.send(b"hello"), "another version"),
        (lambda p: p.say(COMPLETE, version=2), "another version"),
        (lambda p: p.say(PROXY, [p.listener.fileno()], b"x" * 64), "another version"),
        (lambda p: p.say(PROXY, [p.listener.fileno()], count=2), "another version"),
        (lambda p: p.say(PROXY, [p.ours.fileno()]), "another version"),
        (lambda p: p.say(PROXY, [0]), "another version"),
        (lambda p: p.say(READY), "another version"),
        (lambda p: (p.say(COMPLETE), p.hear(), p.ours.close()), "gone away"),
        (lambda p: (p.say(COMPLETE), p.hear(), p.states(b"[1]")), "another version"),
        (lambda p: (p.say(COMPLETE), p.hear(), p.states(b'{"a": 1, "a": 2}')), "another version"),
        (lambda p: (p.say(COMPLETE), p.hear(), p.say(STATES)), "another version"),
        (lambda p: (p.say(COMPLETE), p.hear(), p.say(READY)), "another version"),
    ],
    ids=["gone", "garbage", "version", "endless-text", "missing-descriptor", "not-listening",
         "no-socket", "not-his-turn", "gone-after-prepared", "states-no-object", "states-twice",
         "no-states", "ready-instead"],
)
def test_what_is_no_hand_over_is_refused(tmp_path, backend, act, why):
    p = Predecessor(tmp_path / "sluice", backend)
    # Without its sockets it would bind its own: not where we listen.
    p.s.config["proxy"]["listen"] = [{"address": f"127.0.0.1:{free_port()}"}]
    p.s.config["controller"]["admin"] = f"127.0.0.1:{free_port()}"
    p.s.files[0].write_text(json.dumps(p.s.config))
    try:
        act(p)
        assert_refuses(p, why)
    finally:
        p.close()


def test_states_that_make_no_sense_begin_at_weight_0(predecessor):
    p = predecessor
    p.hand_sockets()
    p.say(COMPLETE)
    assert p.hear() == PREPARED
    p.states(json.dumps({"chat": {"phase": "progressing", "weight_bp": 99999}, "x": 1}).encode())
    assert p.hear() == READY
    wait_until(lambda: "upgrade.state_unknown rollout=chat" in p.s.log(), 10, "the warning")
    assert p.s.document()["weight"] == 0


def test_weights_that_are_none_are_left_alone(predecessor):
    p = predecessor
    plain = os.memfd_create("weights")
    os.write(plain, b"sluiceWT" + bytes(4096))
    p.hand_sockets()
    p.say(WEIGHTS, [plain, 0])
    p.say(COMPLETE)
    assert p.hear() == PREPARED
    p.states()
    assert p.hear() == READY
    wait_until(lambda: p.s.log().count("proxy.predecessor_unknown") == 2, 10, "two warnings")
    assert p.s.request().status == 200
    assert os.pread(plain, 8, 0) == b"sluiceWT" and not any(os.pread(plain, 4096, 8))
    os.close(plain)


def test_a_variable_that_names_no_socket(tmp_path, backend):
    s = Sluice(tmp_path / "sluice", [policy("chat", backend("1.0.0"))], start=False)
    for value in ("3", "0", "-1", "99999999999999999999", "x", ""):
        done = sluice_module.cli("run", *s.files, env={"SLUICE_HANDOVER": value})
        assert done.returncode == 1 and "names no socket" in done.stderr
