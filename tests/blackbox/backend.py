"""Backends whose every byte a test can script: one thread per connection."""

import collections
import json
import random
import socket
import threading
import time

from http_wire import Reader, WireError


class Connection:
    """The server's end of one connection, as a handler sees it."""

    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.reader = Reader(sock)
        self.close_after = False

    def send(self, data):
        self.sock.sendall(data)

    def reply(self, status=200, body=b"", headers=(), reason="Whatever"):
        lines = [f"HTTP/1.1 {status} {reason}"] + [f"{n}: {v}" for n, v in headers]
        lines.append(f"Content-Length: {len(body)}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    def reset(self):
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )
        self.close_after = True


class Backend:
    """Listens on a port of its own from the start. `handler(request, connection)` answers; without
    one it is a model that answers JSON naming its version, with the faults set on it: error_rate,
    delay (seconds) of slow_share of the requests."""

    def __init__(self, version="1.0.0", handler=None, read_bodies=True, seed=1):
        self.version = version
        self.handler = handler or self.model
        self.read_bodies = read_bodies
        self.error_rate = 0.0
        self.delay = 0.0
        self.slow_share = 1.0
        self.random = random.Random(seed)
        self.requests = collections.deque(maxlen=1000)
        self.count = 0
        self.ids = collections.Counter()
        self.connections = 0
        self.open = set()
        self.lock = threading.Lock()
        self.port = None
        self.listener = None
        self.start()

    def start(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512, reuse_port=False)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def down(self):
        """Stops listening and drops every connection: the port refuses from now on."""
        # shutdown wakes the accepting thread, which would keep the port open otherwise.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for sock in list(self.open):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    stop = down

    def up(self):
        self.start(self.port)

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.open.add(sock)
                number = self.connections
            threading.Thread(target=self.serve, args=(sock, number), daemon=True).start()

    def serve(self, sock, number):
        connection = Connection(sock, number)
        try:
            while not connection.close_after:
                request = connection.reader.head()
                if request is None:
                    break
                request.connection = number
                if self.read_bodies:
                    connection.reader.body(request)
                with self.lock:
                    self.count += 1
                    self.requests.append(request)
                self.handler(request, connection)
        except (WireError, OSError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    def model(self, request, connection):
        identity = request.header("x-test-id")
        with self.lock:
            if identity:
                self.ids[identity] += 1
            failing = self.random.random() < self.error_rate
            slow = self.delay and self.random.random() < self.slow_share
        if slow:
            time.sleep(self.delay)
        if failing:
            connection.reply(500, b'{"error":"model failed"}', [("X-Model", self.version)])
            return
        body = json.dumps(
            {"version": self.version, "id": identity, "bytes": len(request.body)}
        ).encode()
        connection.reply(
            200, body, [("Content-Type", "application/json"), ("X-Model", self.version)]
        )
