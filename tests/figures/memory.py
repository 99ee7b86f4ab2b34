"""What a connection costs: resident memory of the proxy per idle client connection (plain and TLS), per
stream that is under way and per stalled reader of a large answer, and whether it comes back."""

import json
import pathlib
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from setup import Backend, Sluice, arguments, policy

HERE = pathlib.Path(__file__).parent
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def hold(kind, port, count, ca):
    """In a process of its own, for its descriptors: opens, says so, waits for a line, ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.create_default_context(cafile=ca) if ca else None
    held = []
    for _ in range(count):
        s = socket.socket()
        if kind == "stalled":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        s.settimeout(60)
        s.connect(("127.0.0.1", port))
        if context:
            s = context.wrap_socket(s, server_hostname="localhost")
        if kind != "silent":
            s.sendall(b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % kind.encode())
            if kind in ("idle", "tls"):
                answer = b""
                while not answer.endswith(b"ok"):
                    answer += s.recv(4096)
            elif kind == "stream":
                s.recv(4096)
        held.append(s)
    print("held", flush=True)
    sys.stdin.readline()
    for s in held:
        s.close()


def handler(request, c):
    """/idle answers, /stream begins and stays, /stalled sends 50 MiB."""
    if request.target == "/stream":
        c.send(HEAD + b"10\r\ndata: {\"a\": 1}\n\n\r\n")
        c.sock.recv(1)
        c.close_after = True
    elif request.target == "/stalled":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (50 << 20))
        for _ in range(50):
            c.send(b"x" * (1 << 20))
    else:
        c.reply(200, b"ok")


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )
    return {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


def settled_rss(s):
    time.sleep(1.0)
    return s.rss_kib()


def start(folder, backend, tls):
    s = Sluice(folder, [policy("memory", backend, upstream={"max_requests": 20000})], start=False)
    if tls:
        s.config["proxy"]["listen"][0]["tls"] = tls
        s.files[0].write_text(json.dumps(s.config))
    s.start()
    return s


def measure(folder, backend, kind, count, tls=None):
    """A fresh process for each: memory that was freed before would hide what comes next."""
    s = start(folder / f"{kind}-{count}", backend, tls)
    try:
        time.sleep(1.0)
        before = s.rss_kib()
        waves = []
        for _ in range(2):
            holder = subprocess.Popen(
                [sys.executable, __file__, "--hold", kind, str(s.port), str(count),
                 tls["certificate"] if tls else ""],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            assert holder.stdout.readline() == "held\n"
            time.sleep(1.0)
            waves.append(s.rss_kib())
            holder.stdin.close()
            holder.wait(60)
        time.sleep(1.0)
        after = s.rss_kib()
        s.stop()
    finally:
        s.kill()
    each = (waves[0] - before) / count
    print(f"{count:6} {kind:8} {each:8.2f} KiB each   RSS {before} → {waves[0]} KiB, {waves[1]} with as "
          f"many again after they left, {after} when nobody is left", flush=True)
    return each


def main():
    args = arguments(most=10000)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-memory-"))
    backend = Backend("1.0.0", handler)
    try:
        idle = [measure(folder, backend, kind, count)
                for count in sorted({1000, 5000, args.most}) for kind in ("silent", "idle")]
        measure(folder, backend, "tls", min(2000, args.most), certificate(folder))
        measure(folder, backend, "stream", min(1000, args.most))
        stalled = measure(folder, backend, "stalled", 50)
    finally:
        backend.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if max(idle) < 4 and stalled <= 256 else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--hold"]:
        hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
        sys.exit(0)
    sys.exit(main())
