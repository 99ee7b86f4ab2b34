"""How each proxy is configured and started: one function each, given a Rig and what the case wants.

All of them: one worker (or as many as the case says), keep-alive to clients and origins, no access
log (sluice: 1 % of the requests, to a file), X-Forwarded-For and a request id, 80 % to the first
origin and 20 % to the second. docs/performance.md says what this does not compare.
"""

import contextlib
import dataclasses
import getpass
import json
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

from processes import (Failed, OTHER_CORES, family, free_port, proxy_cores, read_line, start, stop,
                       wait_for_port)

CONNECTIONS = 12000  # what each is prepared for


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a case wants of a proxy."""

    workers: int = 1
    tls: bool = False
    sse: bool = False
    rollouts: int = 1  # only sluice has several
    endpoints: int = 1  # per version: 127.0.0.1, 127.0.0.2, ...
    buffer: str = ""  # a size: larger ones than the defaults, for large answers


class Proxy:
    """One that runs: where it listens and which processes do its work."""

    def __init__(self, label, port, child, check=None):
        self.label, self.port, self.child = label, port, child
        self.pids = family(child.pid)
        self.check = check or (lambda: None)  # raises when it is not as it should be any more

    def stop(self):
        stop([self.child])


class Rig:
    """Origins, and what is needed to start proxies in front of them."""

    def __init__(self, bin_dir, peers_dir, folder):
        self.bin, self.folder = pathlib.Path(bin_dir).absolute(), pathlib.Path(folder)
        self.peers = pathlib.Path(peers_dir).absolute()
        libraries = ":".join(map(str, self.peers.glob("usr/lib/*-linux-gnu*")))
        self.env = {"LD_LIBRARY_PATH": libraries}
        self.origins = []  # children
        self.ports = []  # of the origins
        self.made = 0

    def program(self, name):
        path = {
            "haproxy": self.peers / "usr/sbin/haproxy",
            "nginx": self.peers / "usr/sbin/nginx",
            "h2o": self.peers / "usr/bin/h2o",
            "forward": self.bin / "bench-forward",
            "sluice": self.bin / "sluice",
        }[name]
        return path if path.exists() else None

    def start_origins(self, size=256, addresses=1):
        self.ports = []
        for _ in range(2):
            self.origins.append(start(
                [self.bin / "bench-origin", "--size", size, "--addresses", addresses],
                OTHER_CORES, stdout=subprocess.PIPE, log=self.folder / "origin.log",
            ))
            self.ports.append(int(read_line(self.origins[-1], 10, "the origin")))

    def stop_origins(self):
        stop(self.origins)
        self.origins = []

    def place(self, kind):
        """A new folder for one proxy."""
        self.made += 1
        path = self.folder / f"{kind}-{self.made}"
        path.mkdir()
        return path

    def certificate(self):
        """(certificate, key), made once: ECDSA P-256, as most servers have today."""
        files = self.folder / "bench.crt", self.folder / "bench.key"
        if not files[0].exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec",
                 "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=api.example.com",
                 "-addext", "subjectAltName=DNS:api.example.com,DNS:*.example.com",
                 "-out", files[0], "-keyout", files[1]],
                check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
            )
        return files


# --- sluice ----------------------------------------------------------------------------------------


def policy(rig, name, host, endpoints):
    def version(label, port):
        urls = [f"http://127.0.0.{n + 1}:{port}" for n in range(endpoints)]
        return {"version": label, "endpoints": urls}

    return {
        "rollout": name,
        "match": {"hosts": [host], "paths": ["/v1"]},
        "stable": version("1.0.0", rig.ports[0]),
        "canary": version("2.0.0", rig.ports[1]),
        "steps": [{"weight": 20, "hold": "6h"}, {"weight": 100, "hold": "1h"}],
    }


def start_sluice(rig, label, setup):
    """As a user runs it: every feature that is on by default, an access log, a rollout at 20 %."""
    folder, port, admin = rig.place("sluice"), free_port(), free_port()
    listen = {"address": f"127.0.0.1:{port}"}
    if setup.tls:
        listen["tls"] = dict(zip(("certificate", "key"), map(str, rig.certificate())))
    (folder / "sluice.yaml").write_text(json.dumps({
        "proxy": {
            "listen": [listen],
            "workers": setup.workers,
            "access_log": {"to": str(folder / "access.log"), "sample": 0.01},
        },
        "controller": {"admin": f"127.0.0.1:{admin}"},
        "policies": str(folder / "policies"),
    }))
    # The one that is asked for is in the middle of the others.
    names = [(f"r{n}", f"r{n}.example.com") for n in range(setup.rollouts - 1)]
    names.insert(len(names) // 2, ("bench", "api.example.com"))
    (folder / "policies").mkdir()
    for name, host in names:
        (folder / f"policies/{name}.yaml").write_text(
            json.dumps(policy(rig, name, host, setup.endpoints)))
    log = folder / "log"
    child = start([rig.program("sluice"), "run", folder / "sluice.yaml"],
                  proxy_cores(setup.workers), log=log, cwd=folder)
    wait_for_port(port, child, "sluice", log)
    url = f"http://127.0.0.1:{admin}/v1/rollouts/bench"

    def check():
        with urllib.request.urlopen(url, timeout=10) as answer:
            weight = json.load(answer)["weight"]
        if weight != 20:
            raise Failed(f"sluice's rollout is at {weight} %, not at 20 %")

    deadline = time.monotonic() + 20
    while True:
        try:
            check()
            return Proxy(label, port, child, check)
        except (OSError, Failed):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


# --- peers -----------------------------------------------------------------------------------------


def start_haproxy(rig, label, setup):
    """Reuses connections as much as it can; no-delay, without which it holds events back."""
    folder, port = rig.place("haproxy"), free_port()
    servers = "".join(
        f"  server s{i}-{n} 127.0.0.{n + 1}:{p} weight {weight}\n"
        for i, (p, weight) in enumerate(zip(rig.ports, (80, 20))) for n in range(setup.endpoints)
    )
    bind = f"127.0.0.1:{port}"
    if setup.tls:
        both = folder / "bench.pem"
        both.write_text("".join(path.read_text() for path in rig.certificate()))
        bind += f" ssl crt {both}"
    (folder / "haproxy.cfg").write_text(
        # strict-limits off: it wants two descriptors for each connection and never needs them here
        f"global\n  nbthread {setup.workers}\n  maxconn {CONNECTIONS}\n  no strict-limits\n"
        + (f"  tune.bufsize {setup.buffer}\n" if setup.buffer else "") +
        "defaults\n  mode http\n  timeout client 75s\n  timeout server 120s\n  timeout connect 1s\n"
        "  timeout http-request 10s\n  timeout http-keep-alive 75s\n"
        "  http-reuse always\n  option http-no-delay\n  option forwardfor\n"
        f"frontend f\n  bind {bind}\n  unique-id-format %{{+X}}o%ci%cp%Ts%rt\n"
        "  unique-id-header X-Request-ID\n  use_backend b if { path_beg /v1 }\n"
        f"backend b\n  balance roundrobin\n{servers}"
    )
    log = folder / "log"
    child = start([rig.program("haproxy"), "-db", "-f", folder / "haproxy.cfg"],
                  proxy_cores(setup.workers), rig.env, log, cwd=folder)
    wait_for_port(port, child, label, log)
    return Proxy(label, port, child)


def start_nginx(rig, label, setup):
    """512 kept connections to each origin; events are not buffered, where there are any."""
    folder, port = rig.place("nginx"), free_port()
    upstreams = "".join(
        f"upstream u{i} {{\n"
        + "".join(f"  server 127.0.0.{n + 1}:{p};\n" for n in range(setup.endpoints))
        + "  keepalive 512; keepalive_requests 1000000000;\n}\n"
        for i, p in enumerate(rig.ports)
    )
    listen, certificate = f"127.0.0.1:{port}", ""
    if setup.tls:
        listen += " ssl"
        certificate = ("  ssl_certificate {}; ssl_certificate_key {};\n"
                       "  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m;\n"
                       .format(*rig.certificate()))
    buffers = "proxy_buffers 16 8k;"  # an answer of 64 KiB fits; else it goes through a file
    if setup.buffer:
        buffers = "proxy_buffers 8 {0}; proxy_buffer_size {0}; proxy_busy_buffers_size {0};".format(
            setup.buffer)
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes {setup.workers}; user {getpass.getuser()};\n"
        f"worker_rlimit_nofile 20000; pid {folder}/pid; error_log {folder}/log;\n"
        f"events {{ worker_connections {CONNECTIONS}; }}\n"
        f"http {{\n{temporary}access_log off; keepalive_timeout 75s;\n"
        "keepalive_requests 1000000000;\n"
        f"{upstreams}split_clients $request_id $u {{ 80% u0; * u1; }}\n"
        f"server {{\n  listen {listen}; server_name api.example.com;\n{certificate}"
        "  location /v1 {\n    proxy_pass http://$u; proxy_http_version 1.1;\n"
        '    proxy_set_header Connection ""; proxy_set_header Host $http_host;\n'
        "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
        "    proxy_set_header X-Request-ID $request_id;\n"
        f"    {buffers} proxy_buffering {'off' if setup.sse else 'on'};\n  }}\n}}\n}}\n"
    )
    log = folder / "log"
    child = start([rig.program("nginx"), "-e", log, "-p", folder, "-c", folder / "nginx.conf"],
                  proxy_cores(setup.workers), rig.env, log, last_signal=signal.SIGTERM, cwd=folder)
    wait_for_port(port, child, label, log)
    deadline = time.monotonic() + 5
    while len(family(child.pid)) < 1 + setup.workers:
        if time.monotonic() > deadline:
            raise Failed("nginx started no worker")
        time.sleep(0.02)
    return Proxy(label, port, child)


def start_h2o(rig, label, setup):
    """2.2.5 can neither weigh its origins nor make a request id: it has one origin, and is the
    cheaper for it."""
    folder, port = rig.place("h2o"), free_port()
    listen = f"listen:\n  host: 127.0.0.1\n  port: {port}\n"
    if setup.tls:
        listen += ("  ssl:\n    certificate-file: {}\n    key-file: {}\n"
                   "    ocsp-update-interval: 0\n".format(*rig.certificate()))
    (folder / "h2o.conf").write_text(
        f"{listen}user: {getpass.getuser()}\nnum-threads: {setup.workers}\n"
        f"max-connections: {CONNECTIONS}\npid-file: {folder}/pid\nerror-log: {folder}/errors\n"
        "http1-request-timeout: 75\nhosts:\n  default:\n    paths:\n      /v1:\n"
        f"        proxy.reverse.url: http://127.0.0.1:{rig.ports[0]}/v1\n"
        "        proxy.preserve-host: ON\n        proxy.timeout.keepalive: 60000\n"
        "        proxy.timeout.io: 120000\n"
    )
    log = folder / "log"
    child = start([rig.program("h2o"), "-m", "worker", "-c", folder / "h2o.conf"],
                  proxy_cores(setup.workers), rig.env, log, cwd=folder)
    wait_for_port(port, child, label, log)
    time.sleep(0.5)  # a child of its start ends; one that holds the private key stays and counts
    return Proxy(label, port, child)


def start_forward(rig, label, setup):
    folder = rig.place("forward")
    child = start(
        [rig.program("forward"), "--to", rig.ports[0], "--canary", rig.ports[1]],
        proxy_cores(setup.workers), stdout=subprocess.PIPE, log=folder / "log",
    )
    return Proxy(label, int(read_line(child, 10, "the forwarder")), child)


STARTERS = {"sluice": start_sluice, "haproxy": start_haproxy, "nginx": start_nginx,
            "h2o": start_h2o, "forward": start_forward}


def versions(rig):
    """{name: version} of those that are there."""
    asked = {"haproxy": ["-v"], "nginx": ["-v"], "h2o": ["-v"], "sluice": ["--version"]}
    found = {}
    for name, arguments in asked.items():
        if rig.program(name):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                done = subprocess.run([rig.program(name), *arguments], capture_output=True,
                                      text=True, timeout=10, env=rig.env)
                match = re.search(r"\d+\.\d+[\w.+~-]*", done.stdout + done.stderr)
                found[name] = match.group() if match else "unknown"
    return found
