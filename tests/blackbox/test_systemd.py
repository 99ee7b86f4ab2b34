"""What systemd gives and asks for: sockets in $LISTEN_FDS, messages to $NOTIFY_SOCKET."""

import os
import shutil
import signal
import socket
import struct
import sys
import time

import pytest

from http_wire import Client, fetch, wait_until
from line import Line
from sluice import Sluice, free_port, policy


class Manager:
    """The receiving end of $NOTIFY_SOCKET: (pid of the sender, {name: value}) in order."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(path)
        self.sock.setblocking(False)
        self.messages = []

    def read(self):
        while True:
            try:
                data, control, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(12))
            except BlockingIOError:
                return self.messages
            pid = struct.unpack("3i", control[0][2][:12])[0]
            pairs = dict(line.split("=", 1) for line in data.decode().split("\n"))
            self.messages.append((pid, pairs))

    def keys(self):
        """What came, without the watchdog's."""
        return [sorted(p) for _, p in self.read() if "WATCHDOG" not in p]

    def close(self):
        self.sock.close()


@pytest.fixture
def lazy(tmp_path):
    """As the fixture `sluice`, for one that is started by the test."""
    started = []

    def make(policies, **kw):
        started.append(Sluice(tmp_path / "sluice", [policies], **kw))
        return started[-1]

    yield make
    try:
        for s in started:
            s.stop()
    finally:
        for s in started:
            s.kill()


@pytest.fixture(params=["file", "abstract"])
def manager(tmp_path, request):
    name = f"/tmp/sluice-test-notify-{os.getpid()}"
    path = "\0" + name[1:] if request.param == "abstract" else str(tmp_path / "notify")
    m = Manager(path)
    m.address = "@" + name[1:] if request.param == "abstract" else path
    yield m
    m.close()


def test_start_reload_and_stop_are_told_in_order(sluice, backend, manager):
    s = sluice(
        policy("chat", backend("1.0.0")), prefix=("env", f"NOTIFY_SOCKET={manager.address}")
    )
    pid = s.process.pid
    ready = ["MAINPID", "READY", "STATUS"]
    wait_until(lambda: manager.keys() == [ready], 10, "ready")
    assert manager.messages[0] == (pid, {"READY": "1", "MAINPID": str(pid), "STATUS": "serving"})
    s.process.send_signal(signal.SIGHUP)
    reload = [["MONOTONIC_USEC", "RELOADING"], ["READY"]]
    wait_until(lambda: manager.keys() == [ready] + reload, 10, "the reload")
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert 0 <= now - int(manager.messages[1][1]["MONOTONIC_USEC"]) < 60_000_000
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(20) == 0
    assert manager.keys() == [ready] + reload + [["STATUS", "STOPPING"]]


def test_ready_comes_when_it_serves(lazy, backend, manager):
    """READY=1 promises what a unit that starts after this one relies on."""
    s = lazy(
        policy("chat", backend("1.0.0")), prefix=("env", f"NOTIFY_SOCKET={manager.address}"),
        start=False,
    )
    s.spawn()
    wait_until(lambda: manager.read() or s.process.poll() is not None, 20, "ready")
    assert s.request().status == 200
    assert s.api("GET", "/readyz")[0] == 200


@pytest.mark.parametrize("manager", ["file"], indirect=True)
def test_an_upgrade_names_the_new_main_process_and_the_watchdog_goes_on(sluice, backend, manager):
    s = sluice(
        policy("chat", backend("1.0.0")),
        prefix=("env", f"NOTIFY_SOCKET={manager.address}", "WATCHDOG_USEC=200000"),
    )
    line = Line(s)

    def beats(pid):
        return sum(1 for p, m in manager.read() if p == pid and m == {"WATCHDOG": "1"})

    try:
        wait_until(lambda: beats(line.pid) >= 3, 10, "the watchdog")
        line.upgrade()
        old, new = line.pids
        wait_until(lambda: beats(new) >= 3, 10, "the new one's watchdog")
        assert line.wait_end(old) == 0
        said = [(p, m) for p, m in manager.read() if "WATCHDOG" not in m]
        assert "RELOADING" in said[1][1]
        assert (old, {"READY": "1", "MAINPID": str(new), "STATUS": "serving"}) in said[2:]
        assert (new, {"READY": "1", "MAINPID": str(new), "STATUS": "serving"}) in said[2:]
        assert not [m for p, m in said if p == old and "STOPPING" in m], "the service goes on"
        s.files[1].write_text("rollout: [")
        line.fail_to_upgrade()
        wait_until(lambda: [m for p, m in manager.read() if "upgrade failed" in m.get("STATUS", "")],
                   10, "the failure")
    finally:
        line.end()


def test_a_watchdog_of_another_process_is_not_ours(sluice, backend, manager):
    s = sluice(
        policy("chat", backend("1.0.0")),
        prefix=("env", f"NOTIFY_SOCKET={manager.address}", "WATCHDOG_USEC=100000",
                "WATCHDOG_PID=1"),
    )
    assert s.request().status == 200
    time.sleep(0.5)
    assert not [m for _, m in manager.read() if "WATCHDOG" in m]


LAUNCHER = """
import os, socket, sys
ports, names, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
sockets = [socket.create_server(("127.0.0.1", int(p)), backlog=256) for p in ports]
high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.set_inheritable(3 + i, True)
    os.set_inheritable(fd, False)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(high))
os.environ["LISTEN_FDNAMES"] = names
print("bound", flush=True)
open(os.environ["LAUNCHER_GATE"]).read()
os.execv(command[0], command)
"""


def activated(sluice, tmp_path, backend, ports, names, **kw):
    """A sluice started with these sockets, once its launcher may go on: (sluice, release)."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = tmp_path / "launcher.py"
    script.write_text(LAUNCHER)
    s = sluice(
        policy("chat", backend("1.0.0")), start=False, workers=3,
        prefix=("env", f"LAUNCHER_GATE={gate}", sys.executable, script,
                ",".join(map(str, ports)), names), **kw,
    )
    return s, lambda: open(gate, "w").close()


def test_sockets_are_taken_by_their_address(lazy, tmp_path, backend):
    """Who connects before the process even runs is served when it does."""
    port, admin = free_port(), free_port()
    s, release = activated(
        lazy, tmp_path, backend, [port, admin], "",
        config={"proxy": {"listen": [{"address": f"127.0.0.1:{port}"}]},
                "controller": {"admin": f"127.0.0.1:{admin}"}},
    )
    s.port, s.admin_port = port, admin
    s.spawn()
    wait_until(lambda: "bound" in s.stdout(), 20, "the sockets")
    early = [Client(port) for _ in range(50)]
    for c in early:
        c.send_request("GET", "/v1/models")
    asked = Client(admin)
    asked.send_request("GET", "/healthz", host="127.0.0.1")
    release()
    for c in early:
        assert c.response().status == 200
        c.close()
    assert asked.response().status == 200
    asked.close()
    assert "activation." not in s.log()


def test_sockets_are_taken_by_their_names(lazy, tmp_path, backend):
    """A socket unit has the last word about addresses; the log says where it really listens."""
    port, admin = free_port(), free_port()
    s, release = activated(lazy, tmp_path, backend, [admin, port], "admin:proxy")
    configured = s.port
    s.port, s.admin_port = port, admin
    s.spawn()
    wait_until(lambda: "bound" in s.stdout(), 20, "the sockets")
    release()
    wait_until(s.ready, 20, "ready")
    assert s.request().status == 200
    assert f"proxy.listening address=127.0.0.1:{port} " in s.log()
    with pytest.raises(OSError):
        Client(configured)


def test_what_fits_nothing_is_closed_and_said(lazy, tmp_path, backend):
    port, other = free_port(), free_port()
    s, release = activated(lazy, tmp_path, backend, [port, other], "proxy:what")
    s.port = port
    s.spawn()
    wait_until(lambda: "bound" in s.stdout(), 20, "the sockets")
    release()
    wait_until(s.ready, 20, "ready")
    assert s.request().status == 200
    assert "activation.unused descriptor=4" in s.log()
    with pytest.raises(OSError):
        Client(other)


def test_an_activated_process_can_be_upgraded(lazy, tmp_path, backend):
    """All workers share the one socket, and the next process gets it too."""
    port = free_port()
    s, release = activated(lazy, tmp_path, backend, [port], "proxy")
    s.port = port
    s.spawn()
    wait_until(lambda: "bound" in s.stdout(), 20, "the socket")
    release()
    wait_until(s.ready, 20, "ready")
    line = Line(s)
    try:
        line.upgrade()
        for _ in range(30):
            assert s.request().status == 200
        line.upgrade()
        assert s.request().status == 200
        assert line.wait_end(line.pids[0]) == 0
        assert s.log().count(f"proxy.listening address=127.0.0.1:{port} ") == 3
    finally:
        line.end()


def test_systemds_own_launcher(lazy, tmp_path, backend):
    """systemd-socket-activate starts the program at the first connection. Where systemd is not
    installed, ours stands in for it: the protocol is the same."""
    real = shutil.which("systemd-socket-activate")
    port = free_port()
    if real is None:
        s, release = activated(lazy, tmp_path, backend, [port], "proxy")
        s.spawn()
        wait_until(lambda: "bound" in s.stdout(), 20, "the socket")
        release()
    else:
        s = lazy(
            policy("chat", backend("1.0.0")), start=False,
            prefix=(real, "-l", f"127.0.0.1:{port}", "--fdname=proxy"),
        )
        s.spawn()
        wait_until(lambda: "Listening on" in s.log(), 20, "the socket")
    assert fetch(port, "GET", "/v1/models").status == 200
    wait_until(s.ready, 20, "ready")
    assert f"address=127.0.0.1:{port} " in s.log()


def test_sockets_meant_for_another_process_are_left_alone(sluice, backend):
    s = sluice(
        policy("chat", backend("1.0.0")), prefix=("env", "LISTEN_PID=1", "LISTEN_FDS=2")
    )
    assert s.request().status == 200
    assert "activation." not in s.log()
