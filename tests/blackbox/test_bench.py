"""`make bench` measures what it says: its statistics, its programs, and what an interrupt leaves."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest
from http_wire import wait_until
from sluice import BIN_DIR, ROOT, free_port, policy

sys.path.insert(0, str(ROOT / "tests" / "bench"))

import peers  # noqa: E402
import ratios  # noqa: E402
import report  # noqa: E402

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


# --- statistics ------------------------------------------------------------------------------------


def test_paired_ratio():
    """Each round is compared with itself: what doubles both sides changes nothing."""
    theirs = [10.0, 20.0, 40.0, 30.0, 15.0, 80.0]
    assert ratios.paired([t * 0.6 for t in theirs], theirs) == pytest.approx((0.6, 0.6, 0.6))


def test_interval_of_the_median():
    """20 ratios 0.50, 0.51, … 0.69: the sample's median lies between the 6th and the 15th in 95 % of
    the cases (binomial), and so does the bootstrap's interval, always the same one."""
    ours = [50 + n for n in (7, 3, 19, 0, 11, 5, 16, 2, 9, 14, 1, 18, 6, 12, 4, 17, 8, 13, 10, 15)]
    middle, low, high = ratios.paired(ours, [100.0] * 20)
    assert middle == pytest.approx(0.595)
    assert 0.54 <= low <= 0.56 and 0.63 <= high <= 0.65
    assert ratios.paired(ours, [100.0] * 20) == (middle, low, high)


def test_few_rounds_give_their_range():
    assert ratios.paired([3, 1, 2], [1, 1, 1]) == (2, 1, 3)


def test_rounds_must_match():
    with pytest.raises(ValueError):
        ratios.paired([1, 2], [1])


def document(sha, **cases):
    machine = {"cores": 2, "cpu": "a", "kernel": "6", "congestion_control": "bbr"}
    return {"machine": machine, "versions": {}, "sluice_sha256": sha, "cases": cases}


def test_a_partial_run_replaces_its_cases():
    old = {**document("a", b256=1, tls=2), "counts": 3}
    assert report.merged(old, document("a", tls=4))["cases"] == {"b256": 1, "tls": 4}
    assert report.merged(old, document("a"))["counts"] == 3


def test_results_of_another_binary_are_not_mixed_in():
    assert report.merged(document("a", b256=1), document("b", tls=4))["cases"] == {"tls": 4}


def test_summary_and_tables():
    case = report_case()
    runs = {"sluice": [cpu(10, 2), cpu(12, 2)], "haproxy": [cpu(20, 10), cpu(20, 10)]}
    done = report.summary(case, runs, 1.0, 0)
    assert done["ratios"][0]["median"] == pytest.approx(0.55)
    assert done["proxies"]["sluice"]["us"] == 11
    assert done["proxies"]["sluice"]["user_us"] == pytest.approx(11 * 0.2)
    whole = {**document("a", b256=done), "counts": {"sluice": {"instructions": 6500.0}}}
    page = report.markdown(whole)
    assert "| b256 | 11.0 | 0.55 [0.50, 0.60] |" in page and "6,500" in page
    assert "goal 0.62: reached" in report.text("b256", done)


def report_case():
    import cases

    return cases.BY_NAME["b256"]


def cpu(us, user):
    return {"us": us, "user": user, "system": 10 - user, "rate": 1000.0, "p50": 1.0, "p99": 2000.0,
            "failed": 0, "busy": 0.5, "waited": 0.0, "steal": 0.0}


# --- programs --------------------------------------------------------------------------------------


@contextlib.contextmanager
def program(name, *args):
    """One that prints its port and serves: yields the port."""
    child = subprocess.Popen([BIN_DIR / name, *map(str, args)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE)
    try:
        yield int(child.stdout.readline())
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def run_load(port, *args):
    return subprocess.run([BIN_DIR / "bench-load", "--port", str(port), *map(str, args)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def load(port, *args):
    done = run_load(port, *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("size", [64, 4096, 1 << 20])
def test_closed_loop(size):
    with program("bench-origin", "--size", size) as port:
        report = load(port, "--connections", 8, "--requests", 200, "--answer", size, "--seconds", 30)
    assert report["requests"] == 200 and report["failed"] == 0
    assert 0 < report["p50_us"] <= report["p99_us"]


def test_through_the_forwarder():
    with program("bench-origin") as stable, program("bench-origin") as canary, \
            program("bench-forward", "--to", stable, "--canary", canary) as port:
        for mode in "closed", "new":
            report = load(port, "--mode", mode, "--connections", 10, "--requests", 100,
                          "--seconds", 30)
            assert report["requests"] == 100 and report["failed"] == 0


def test_the_forwarder_holds_what_a_peer_does_not_take_yet():
    with program("bench-origin", "--size", 1 << 20) as origin, \
            program("bench-forward", "--to", origin) as port, socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.settimeout(10)
        s.connect(("127.0.0.1", port))
        for _ in range(2):
            s.sendall(REQUEST)
            assert len(answer(s)) == 1 << 20


def test_open_loop_sends_what_is_due():
    with program("bench-origin") as port:
        report = load(port, "--mode", "open", "--rate", 400, "--connections", 4, "--seconds", 0.5)
    assert report["requests"] == 200 and report["failed"] == 0


def test_streams():
    """20 streams of 20 events a second. What is late comes in a bunch, and each is counted once."""
    with program("bench-origin", "--rate", 20) as port:
        report = load(port, "--mode", "sse", "--connections", 20, "--seconds", 0.5)
    assert report["failed"] == 0
    assert 100 <= report["requests"] <= 400


def test_idle_connections_stay_until_standard_input_ends():
    with program("bench-origin") as port:
        child = subprocess.Popen(
            [BIN_DIR / "bench-load", "--port", str(port), "--mode", "idle", "--connections", "100",
             "--wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        try:
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("go\n")
            child.stdin.flush()
            assert json.loads(child.stdout.readline())["failed"] == 0
            sockets = [os.readlink(path) for path in pathlib.Path(f"/proc/{child.pid}/fd").iterdir()]
            assert sum(name.startswith("socket:") for name in sockets) == 100
            child.stdin.close()
            assert child.wait(20) == 0
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


@pytest.mark.parametrize("options", [(), ("--mode", "new"), ("--mode", "new", "--resume")])
def test_tls(sluice, tmp_path, options):
    """A handshake that should have been resumed and was not would be a failure."""
    rig = peers.Rig(BIN_DIR, tmp_path, tmp_path)
    certificate, key = map(str, rig.certificate())
    with program("bench-origin") as origin:
        port = free_port()
        sluice(policy("chat", ("1.0.0", [f"http://127.0.0.1:{origin}"])), config={"proxy": {
            "listen": {"address": f"127.0.0.1:{port}",
                       "tls": {"certificate": certificate, "key": key}}}})
        report = load(port, "--tls", "--connections", 4, "--requests", 40, "--seconds", 30, *options)
    assert report["requests"] == 40 and report["failed"] == 0


def answer(s):
    """The body of one answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    length = int(next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))[15:])
    while len(body) < length:
        body += s.recv(65536)
    return body


def test_the_origin_takes_a_request_in_pieces():
    with program("bench-origin", "--size", 100) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(2):
                for i in range(len(REQUEST)):
                    s.sendall(REQUEST[i:i + 1])
                assert len(answer(s)) == 100


@contextlib.contextmanager
def server(answers):
    """Gives one connection these answers, a request each, and closes it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        def serve():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    for one in answers:
                        taken = b""
                        while len(taken) < 1024 or b'x"}' not in taken[-3:]:
                            piece = connection.recv(65536)
                            if not piece:
                                return
                            taken += piece
                        connection.sendall(one)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.close()
            thread.join(20)


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize("kind, bad", [
    ("status", b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nabc"),
    ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"),
    ("length", b"HTTP/1.1 200 OK\r\n\r\nabc"),
    ("cut", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
    ("cut", b""),
])
def test_a_wrong_answer_is_a_failure(kind, bad):
    with server([GOOD, GOOD, bad]) as port:
        report = load(port, "--connections", 1, "--answer", 3, "--requests", 10, "--seconds", 5)
    assert report["requests"] == 1 and report["failed"] == 1
    assert {name: n for name, n in report["failures"].items() if n} == {kind: 1}


def test_nothing_is_measured_where_nothing_works():
    with server([b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc"]) as port:
        assert run_load(port, "--connections", 1).returncode == 1


# --- interrupts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number, moment", [
    (signal.SIGINT, "b256: "),  # the first origin is about to start
    (signal.SIGTERM, "  b256 1/"),  # in the middle of the rounds
])
def test_an_interrupt_leaves_nothing(tmp_path, number, moment):
    programs = tmp_path / "bin"
    programs.symlink_to(BIN_DIR)  # so that command lines tell whose processes they are
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    child = subprocess.Popen(
        ["/usr/bin/python3", ROOT / "tests/bench/run.py", "b256", "--bin", programs, "--peers",
         tmp_path / "none", "--out", tmp_path / "out", "--rounds", "1000", "--seconds", "0.1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        assert any(line.startswith(moment) for line in child.stdout)
        child.send_signal(number)
        assert child.wait(20) == 128 + number
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    wait_until(lambda: not processes_of(tmp_path), 10, "the end of every process")
    assert list(temporary.iterdir()) == []


def processes_of(folder):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.append(path.parent.name)
    return found
