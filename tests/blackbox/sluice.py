"""Starting, asking and stopping the real binary."""

import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from http_wire import fetch, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN_DIR = pathlib.Path(os.environ.get("SLUICE_BIN_DIR", ROOT / "build" / "release")).resolve()
SLUICE = BIN_DIR / "sluice"

# Slower than a sane machine ever is, sanitizers and four tests at a time included.
START_TIMEOUT = 20.0

# A prefix for tests that look at memory: what AddressSanitizer keeps of freed memory is not sluice's.
FRESH = ("env", "ASAN_OPTIONS=quarantine_size_mb=1")


def free_port():
    """A port below the range the kernel gives to clients, so that nobody takes it in between. A
    lock per port keeps the test processes that run at once from choosing the same one."""
    base = 18000
    for offset in range(2000):
        port = base + (os.getpid() * 37 + free_port.next + offset) % 12000
        lock = open(os.path.join(tempfile.gettempdir(), f"sluice-test-port-{port}"), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        free_port.next += offset + 1
        free_port.locks.append(lock)  # held until this process ends
        return port
    raise RuntimeError("no free port")


free_port.next = 0
free_port.locks = []


def policy(name="chat", stable=None, canary=None, **keys):
    """A policy as a dict. stable and canary: a Backend, a list of them, or (version, [urls])."""
    document = {"rollout": name}
    document.update(keys.pop("first", {}))
    document["stable"] = version(stable)
    if canary is not None:
        document["canary"] = version(canary)
    document.update(keys)
    return document


def version(backends):
    if isinstance(backends, tuple):
        return {"version": backends[0], "endpoints": backends[1]}
    if not isinstance(backends, list):
        backends = [backends]
    return {"version": backends[0].version, "endpoints": [b.url for b in backends]}


# Verdicts in tenths of a second instead of minutes, for tests of everything but the guard itself.
FAST_GUARD = {"slot": "100ms", "min_bad_slots": 0, "confirm": []}


def steps(*weights, hold="1s"):
    return [{"weight": w, "hold": hold} for w in weights]


class Sluice:
    """One `sluice run` with its files in a folder of its own. Policies are dicts: JSON is YAML."""

    def __init__(self, folder, policies, config=None, workers=2, args=(), start=True, prefix=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.admin_port = free_port()
        self.config = {
            "proxy": {"listen": [{"address": f"127.0.0.1:{self.port}"}], "workers": workers},
            "controller": {"admin": f"127.0.0.1:{self.admin_port}"},
        }
        for key, value in (config or {}).items():
            self.config.setdefault(key, {}).update(value)
        self.files = [self.folder / "sluice.yaml"]
        self.files[0].write_text(json.dumps(self.config))
        for p in policies:
            self.files.append(self.folder / f"{p['rollout']}.yaml")
            self.files[-1].write_text(json.dumps(p))
        self.args = list(args)
        self.prefix = list(prefix)  # a command that replaces itself with sluice, as prlimit does
        self.process = None
        if start:
            self.start()

    @property
    def admin(self):
        return f"http://127.0.0.1:{self.admin_port}"

    def spawn(self):
        with open(self.folder / "log", "ab") as log, open(self.folder / "stdout", "ab") as out:
            self.process = subprocess.Popen(
                [*self.prefix, SLUICE, "run", *self.files, *self.args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=self.folder,
            )

    def start(self):
        self.spawn()
        wait_until(self.ready, START_TIMEOUT, f"ready\n{self.log()}")

    def ready(self):
        assert self.process.poll() is None, f"sluice exited\n{self.log()}"
        try:
            return fetch(self.admin_port, "GET", "/readyz", host="127.0.0.1").status == 200
        except OSError:
            return False

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stdout(self):
        path = self.folder / "stdout"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self, sig=signal.SIGTERM, timeout=40.0):
        """Returns the exit status; fails when it crashed or a sanitizer spoke up."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is None:
            self.process.send_signal(sig)
            try:
                status = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"sluice did not stop within {timeout} s\n{self.log()}")
        self.process = None
        log = self.log()
        assert not re.search("Sanitizer|runtime error:", log), log
        assert status in (0, -sig), f"exit status {status}\n{log}"
        return status

    def kill(self):
        """For clean-up when a test failed: no questions asked."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def rss_kib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- asking ---

    def request(self, method="GET", target="/v1/models", headers=(), body=None, **kw):
        return fetch(self.port, method, target, headers, body, **kw)

    def api(self, method, path, body=None, headers=(), host="127.0.0.1"):
        """(status, parsed JSON) of the admin API."""
        fields = list(headers)
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            fields.append(("Content-Type", "application/json"))
        elif method == "POST":
            data = b""
        r = fetch(self.admin_port, method, path, fields, data, host=host)
        try:
            return r.status, json.loads(r.body)
        except ValueError:
            return r.status, r.body.decode(errors="replace")

    def document(self, name="chat"):
        status, document = self.api("GET", f"/v1/rollouts/{name}")
        assert status == 200, document
        return document

    def phase(self, name="chat"):
        return self.document(name)["phase"]

    def wait_for(self, test, timeout, name="chat"):
        """The first document of the rollout for which test(document) holds."""
        last = {}

        def probe():
            last["document"] = self.document(name)
            return test(last["document"])

        try:
            wait_until(probe, timeout, "the document")
        except AssertionError as e:
            raise AssertionError(
                f"{e}\n{json.dumps(last['document'], indent=1)}\n{self.log()[-4000:]}"
            ) from None
        return last["document"]

    def wait_phase(self, phase, timeout, name="chat"):
        return self.wait_for(lambda d: d["phase"] == phase, timeout, name)

    def wait_weight(self, weight, timeout, name="chat"):
        return self.wait_for(lambda d: d["weight"] == weight, timeout, name)

    def cli(self, *args, timeout=60.0):
        return cli(*args, env={"SLUICE_ADMIN": self.admin}, timeout=timeout)

    def attempts(self, name="chat", **labels):
        """Outcomes of first attempts, those that there were: {"ok": 3, "5xx": 1}."""
        found = {}
        for (metric, pairs), value in self.metrics().items():
            if metric == "sluice_requests_total" and value and \
                    {("rollout", name), *labels.items()} <= pairs:
                outcome = dict(pairs)["outcome"]
                found[outcome] = found.get(outcome, 0) + value
        return found

    def results(self, name="chat"):
        """What clients got: {"ok": 3, "shielded": 1}."""
        return {dict(pairs)["result"]: value for (metric, pairs), value in self.metrics().items()
                if metric == "sluice_results_total" and value and ("rollout", name) in pairs}

    def metrics(self):
        r = fetch(self.admin_port, "GET", "/metrics", host="127.0.0.1")
        assert r.status == 200
        return parse_metrics(r.body.decode())


def cli(*args, env=None, timeout=60.0, cwd=None):
    """Runs a command to its end: CompletedProcess with text stdout and stderr."""
    done = subprocess.run(
        [SLUICE, *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    assert not re.search("Sanitizer|runtime error:", done.stderr), done.stderr
    return done


METRIC = re.compile(
    r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.eE+-]+|NaN|[+-]Inf)(?: \d+)?$"
)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


class Metrics(dict):
    """{(name, frozenset of label pairs): value}, plus types and helps by family."""

    def __init__(self):
        super().__init__()
        self.types = {}
        self.helps = {}

    def value(self, metric, **labels):
        """The sum over the series that carry these labels; None when there is none."""
        found = [v for (n, ls), v in self.items() if n == metric and set(labels.items()) <= ls]
        return sum(found) if found else None


def parse_metrics(text):
    """The Prometheus text format, strictly."""
    metrics = Metrics()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            _, _, name, rest = line.split(" ", 3)
            assert name not in metrics.helps, line
            metrics.helps[name] = rest
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in metrics.types, line
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            metrics.types[name] = kind
        elif not line.startswith("#"):
            match = METRIC.match(line)
            assert match, f"not a sample: {line!r}"
            name, labels, value = match.groups()
            pairs = LABEL.findall(labels or "")
            assert "".join(f'{n}="{v}",' for n, v in pairs).rstrip(",") == (labels or "").rstrip(
                ","
            ), f"bad labels: {line!r}"
            key = (name, frozenset(pairs))
            assert key not in metrics, f"twice: {line!r}"
            metrics[key] = float(value)
            family = re.sub("_(bucket|sum|count)$", "", name)
            assert name in metrics.types or family in metrics.types, f"no TYPE: {line!r}"
    return metrics


def sleep_until(instant):
    delay = instant - time.monotonic()
    if delay > 0:
        time.sleep(delay)
