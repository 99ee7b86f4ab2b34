"""Event streams that go on and on: what a stream costs in memory and CPU, and how late an event is when
it has come through the proxy. Backend and clients are loops of their own processes."""

import json
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from setup import Sluice, arguments, policy, quantile

HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
TEXT = b'data: {"t":%.6f,"choices":[{"delta":{"content":"token"}}]}\n\n'


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def serve(streams, rate, seconds):
    """Waits for that many requests, then sends each an event `rate` times a second."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    open_streams = []
    for _ in range(streams):
        s, _ = listener.accept()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.recv(65536)
        s.sendall(HEAD)
        open_streams.append(s)
    began = time.monotonic()
    for tick in range(int(rate * seconds)):
        # Spread over the tick, as models do: a tenth of the streams at a time.
        for part in range(10):
            due = began + (tick + part / 10) / rate
            time.sleep(max(0, due - time.monotonic()))
            for s in open_streams[part::10]:
                s.sendall(chunk(TEXT % time.monotonic()))
    for s in open_streams:
        s.sendall(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def read(streams, port):
    """Opens that many streams and reads them to their end; prints what came as JSON."""
    poll, sockets, tails = select.epoll(), {}, {}
    for _ in range(streams):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
        poll.register(s, select.EPOLLIN)
        sockets[s.fileno()], tails[s.fileno()] = s, b""
    events, delays, broken = 0, [], 0
    while sockets:
        for fd, _ in poll.poll():
            data = sockets[fd].recv(65536)
            now = time.monotonic()
            text = tails[fd] + data
            while (at := text.find(b'"t":')) >= 0 and (end := text.find(b",", at)) >= 0:
                events += 1
                if events % 10 == 0:
                    delays.append(now - float(text[at + 4 : end]))
                text = text[end:]
            tails[fd] = text[-64:]
            if not data or text.endswith(b"0\r\n\r\n"):
                broken += not data
                poll.unregister(fd)
                sockets.pop(fd).close()
    print(json.dumps({"events": events, "broken": broken, "p50": quantile(delays, 0.5),
                      "p99": quantile(delays, 0.99), "max": max(delays)}))


def child(*args):
    return subprocess.Popen([sys.executable, __file__, *map(str, args)], stdout=subprocess.PIPE,
                            text=True)


def main():
    args = arguments(streams=1000, rate=20, seconds=30)
    folder = tempfile.mkdtemp(prefix="sluice-sse-")
    backend = child("--serve", args.streams, args.rate, args.seconds)
    port = int(backend.stdout.readline())
    s = Sluice(folder, [policy("chat", ("1.0.0", [f"http://127.0.0.1:{port}"]),
                               upstream={"max_requests": 20000})])
    try:
        time.sleep(1)
        rss, cpu = s.rss_kib(), s.cpu_seconds()
        reader = child("--read", args.streams, s.port)
        time.sleep(args.seconds / 2)
        during = s.rss_kib()
        got = json.loads(reader.communicate(timeout=args.seconds + 60)[0])
        cpu = s.cpu_seconds() - cpu
        time.sleep(1)
        after = s.rss_kib()
        outcomes = s.attempts()
        s.stop()
    finally:
        s.kill()
        backend.kill()
        backend.wait()
        shutil.rmtree(folder, ignore_errors=True)
    wanted = args.streams * args.rate * args.seconds
    print(f"{args.streams} streams of {args.rate} events/s for {args.seconds} s: {got['events']} of "
          f"{wanted} events, {got['broken']} streams broken, attempts {outcomes}")
    print(f"    RSS {(during - rss) / args.streams:.1f} KiB each ({rss} → {during} → {after} KiB), CPU "
          f"{cpu:.1f} s = {cpu / got['events'] * 1e6:.1f} us an event")
    print(f"    an event comes through after {got['p50'] * 1000:.1f} ms (median), "
          f"{got['p99'] * 1000:.1f} ms (p99), {got['max'] * 1000:.1f} ms (longest)")
    return 0 if got["events"] == wanted and not got["broken"] else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        sys.exit(serve(*map(int, sys.argv[2:])))
    if sys.argv[1:2] == ["--read"]:
        sys.exit(read(*map(int, sys.argv[2:])))
    sys.exit(main())
