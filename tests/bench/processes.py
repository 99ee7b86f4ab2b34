"""Starting processes on given cores, and leaving none behind.

Every child dies with this process, whatever ends it: the kernel sends it a signal then. Beyond that,
stop_all() ends them in order, and is called in the end by whoever starts any.
"""

import contextlib
import ctypes
import os
import random
import resource
import select
import signal
import socket
import subprocess
import time

CORES = sorted(os.sched_getaffinity(0))
OTHER_CORES = CORES[:-1] or CORES  # for what is not measured
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

running = []


class Failed(Exception):
    """Something cannot be measured; the text says what and why."""


def proxy_cores(workers):
    """A proxy has the last core; one with two workers the last two."""
    return CORES[-workers:]


def start(command, cores, env=None, log=None, last_signal=signal.SIGKILL, **more):
    """A child that gets last_signal when this process ends without having stopped it."""
    parent = os.getpid()

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, last_signal)
        if os.getppid() != parent:
            os._exit(1)
        os.sched_setaffinity(0, cores)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    with open(log or os.devnull, "ab") as out:
        more = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, **more}
        child = subprocess.Popen(
            list(map(str, command)), env={**os.environ, **(env or {})}, preexec_fn=prepare,
            start_new_session=True,  # Ctrl-C is for this process, which stops them in order
            **more,
        )
    running.append(child)
    return child


def stop(children, timeout=3.0):
    """SIGTERM to all, SIGKILL to what is left of their sessions after the timeout."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + timeout
    for child in children:
        try:
            child.wait(max(0.01, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        if child in running:
            running.remove(child)


def stop_all():
    stop(list(reversed(running)))


def read_line(child, timeout, what):
    """One line of a child's standard output, which is a pipe without a buffer in between."""
    line = b""
    deadline = time.monotonic() + timeout
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([child.stdout], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise Failed(f"{what} said nothing for {timeout:.0f} s")
        piece = os.read(child.stdout.fileno(), 65536)
        if not piece:
            raise Failed(f"{what} ended with status {child.wait(5)}")
        line += piece
    return line.decode()


def free_port():
    """Below the range that the kernel gives to clients, so that no connection takes it before the
    one who is told of it listens there."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Failed("no free port")


def wait_for_port(port, child, what, log, timeout=20.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise Failed(f"{what} ended with status {child.returncode}\n{tail(log)}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise Failed(f"{what} does not listen on port {port}\n{tail(log)}")


def tail(log):
    with contextlib.suppress(OSError):
        return log.read_text(errors="replace")[-2000:]
    return ""


def family(pid):
    """A process and its children: nginx does its work in some."""
    pids = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as f:
            pids += map(int, f.read().split())
    return pids
