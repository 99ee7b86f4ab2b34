"""What a request costs: CPU of the proxy process per request, requests per second and latency, beside
nginx and HAProxy (where `make bench` could unpack them) with the same 80/20 split, one worker each.

Rounds are interleaved (A B C A B C …), because a machine's speed drifts by more than the differences
that matter: believe the ratios within a round, not the microseconds. The proxies get one core, origin
and generator the other, where there are two.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")
BODY = b'{"model":"m","prompt":"' + b"x" * 1000 + b'"}'
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, OTHER_CORES = CORES[-1], CORES[:-1] or CORES

started = []  # processes, stopped in reverse at the end whatever happens


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(command, core=None, env=None, log=None):
    out = open(log, "wb") if log else subprocess.DEVNULL
    cores = OTHER_CORES if core is None else [core]
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})}, preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    started.append(process)
    return process


def stop_all():
    for process in reversed(started):
        if process.poll() is None:
            process.terminate()
    for process in reversed(started):
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    started.clear()


def wait_for(port, process, what):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"bench: {what} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"bench: {what} does not listen on port {port}")


def family(pid):
    """A process and its children: nginx does its work in one."""
    pids = [pid]
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            pids.append(int(path.parent.name))
    return pids


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder, self.peers = args, folder, pathlib.Path(args.peers).resolve()
        self.bin = pathlib.Path(args.bin).resolve()
        libraries = ":".join(map(str, self.peers.glob("usr/lib/*-linux-gnu*")))
        self.env = {"LD_LIBRARY_PATH": libraries}
        self.nginx_bin = self.peers / "usr/sbin/nginx"
        self.haproxy_bin = self.peers / "usr/sbin/haproxy"
        self.ports = [free_port(), free_port()]
        self.proxies = []  # (name, port, pids)
        self.body = self.write("body.json", BODY.decode())

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def run_nginx(self, name, http, core=None):
        """nginx with an `http` block; relative paths land in the folder."""
        path = self.write(
            f"{name}.conf",
            f"daemon off; worker_processes 1; error_log {self.folder}/{name}.err;\n"
            f"pid {self.folder}/{name}.pid; events {{ worker_connections 4096; }}\n"
            f"http {{ access_log off; keepalive_requests 1000000000; client_max_body_size 0;\n"
            + "".join(
                f"{kind}_temp_path {self.folder}/{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + http + "}\n",
        )
        return start(
            [self.nginx_bin, "-e", self.folder / f"{name}.err", "-p", self.folder, "-c", path],
            core, self.env,
        )

    def origins(self):
        """nginx answering from memory is the fastest origin at hand; else the model server."""
        body = '{\\"choices\\":[{\\"text\\":\\"' + "y" * 200 + '\\"}]}'
        if self.nginx_bin.exists():
            servers = "".join(
                f"server {{ listen 127.0.0.1:{port}; default_type application/json;\n"
                f'location / {{ return 200 "{body}"; }} }}\n'
                for port in self.ports
            )
            process = self.run_nginx("origin", servers)
            for port in self.ports:
                wait_for(port, process, "the origin")
        else:
            for version, port in zip(("1.0.0", "2.0.0"), self.ports):
                process = start(
                    [self.bin / "model-server", "--listen", f"127.0.0.1:{port}",
                     "--version", version],
                )
                wait_for(port, process, "the model server")

    def start_sluice(self):
        port = free_port()
        config = {
            "proxy": {"listen": [{"address": f"127.0.0.1:{port}"}], "workers": 1},
            "controller": {"admin": f"127.0.0.1:{free_port()}"},
        }
        policy = {
            "rollout": "bench",
            "stable": {"version": "1.0.0", "endpoints": [f"http://127.0.0.1:{self.ports[0]}"]},
            "canary": {"version": "2.0.0", "endpoints": [f"http://127.0.0.1:{self.ports[1]}"]},
            "steps": [{"weight": 20, "hold": "1h"}],
        }
        process = start(
            [self.bin / "sluice", "run", self.write("sluice.yaml", json.dumps(config)),
             self.write("bench.yaml", json.dumps(policy))],
            PROXY_CORE, log=self.folder / "sluice.log",
        )
        wait_for(port, process, "sluice")
        self.proxies.append(("sluice", port, [process.pid]))

    def start_haproxy(self):
        if not self.haproxy_bin.exists():
            return
        port = free_port()
        servers = "".join(
            f"  server s{i} 127.0.0.1:{p} weight {w}\n"
            for i, (p, w) in enumerate(zip(self.ports, (80, 20)))
        )
        path = self.write(
            "haproxy.cfg",
            "global\n  nbthread 1\n  maxconn 4096\n"
            "defaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n"
            "  timeout connect 5s\n  http-reuse always\n  option forwardfor\n"
            f"frontend f\n  bind 127.0.0.1:{port}\n  unique-id-format %{{+X}}o%ci%cp%Ts%rt\n"
            "  unique-id-header X-Request-ID\n  default_backend b\n"
            f"backend b\n  balance roundrobin\n{servers}",
        )
        process = start([self.haproxy_bin, "-db", "-f", path], PROXY_CORE, self.env,
                        log=self.folder / "haproxy.log")
        wait_for(port, process, "haproxy")
        self.proxies.append(("haproxy", port, [process.pid]))

    def start_nginx(self):
        if not self.nginx_bin.exists():
            return
        port = free_port()
        upstreams = "".join(
            f"upstream u{i} {{ server 127.0.0.1:{p}; keepalive 512; keepalive_requests 1000000000; }}\n"
            for i, p in enumerate(self.ports)
        )
        process = self.run_nginx(
            "proxy",
            upstreams
            + "split_clients $request_id $u { 80% u0; * u1; }\n"
            + f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://$u;\n"
            + 'proxy_http_version 1.1; proxy_set_header Connection "";\n'
            + "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
            + "proxy_set_header X-Request-ID $request_id; proxy_set_header Host $http_host; } }\n",
            PROXY_CORE,
        )
        wait_for(port, process, "nginx")
        time.sleep(0.2)
        self.proxies.append(("nginx", port, family(process.pid)))

    def measure(self, port, pids):
        """One run of the generator: {us, rps, p50, p99, failed}."""
        before = cpu_seconds(pids)
        report = self.generate(port, self.args.seconds)
        used = cpu_seconds(pids) - before
        requests = max(1, report["requests"])
        return {
            "us": used * 1e6 / requests,
            "rps": report["requests"] / report["seconds"],
            "p50": report["p50"],
            "p99": report["p99"],
            "failed": report["failed"],
        }

    def generate(self, port, seconds):
        """Closed loop: every connection sends when it has its answer."""
        done = subprocess.run(
            [self.bin / "traffic", "--url", f"http://127.0.0.1:{port}",
             "--connections", str(self.args.connections), "--duration", f"{seconds}s",
             "--path", "/v1/completions", "--body", f"@{self.body}",
             "--content-type", "application/json", "--json", "-", "--quiet"],
            stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=seconds + 60,
            preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES),
        )
        report = json.loads(done.stdout)
        good = report["statuses"].get("200", 0)
        return {
            "requests": report["answered"],
            "seconds": report["seconds"],
            "p50": report["latency_ms"]["p50"],
            "p99": report["latency_ms"]["p99"],
            "failed": report["sent"] - good,
        }

    def run(self):
        self.origins()
        self.start_sluice()
        self.start_haproxy()
        self.start_nginx()
        for _, port, pids in self.proxies:
            self.generate(port, 1)  # connections and caches
        rounds = []
        for n in range(self.args.rounds):
            rounds.append({name: self.measure(port, pids) for name, port, pids in self.proxies})
            print(f"round {n + 1}: " + "  ".join(
                f"{name} {r['us']:.1f} us {r['rps']:.0f}/s" for name, r in rounds[-1].items()
            ), flush=True)
        return rounds


def middle(values):
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def spread(values, digits):
    return f"{middle(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def print_report(rounds):
    print(f"\n{'proxy':10}{'CPU us/request':>24}{'requests/s':>26}{'p50 ms':>10}{'p99 ms':>10}"
          f"{'failed':>8}")
    for name in rounds[0]:
        runs = [r[name] for r in rounds]
        print(f"{name:10}{spread([r['us'] for r in runs], 1):>24}"
              f"{spread([r['rps'] for r in runs], 0):>26}{middle([r['p50'] for r in runs]):>10.2f}"
              f"{middle([r['p99'] for r in runs]):>10.2f}{sum(r['failed'] for r in runs):>8}")
    for name in rounds[0]:
        if name != "sluice":
            ratios = [r["sluice"]["us"] / r[name]["us"] for r in rounds if r[name]["us"] > 0]
            print(f"sluice / {name}, CPU per request within a round: {spread(ratios, 2)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="folder of sluice, traffic, model-server")
    parser.add_argument("--peers", required=True, help="folder with nginx and haproxy, may be empty")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print_report(Bench(args, folder).run())
    except KeyboardInterrupt:
        print("bench: interrupted")
        return 130
    finally:
        stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
