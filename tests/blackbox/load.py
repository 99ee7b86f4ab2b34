"""A load generator for tests: open loop on keep-alive connections, every request remembered."""

import collections
import json
import threading
import time

from http_wire import Client, WireError

Result = collections.namedtuple("Result", "at id status version seconds error")


class Load:
    """`rate` requests a second over `clients` connections until stop() or `count` requests are
    sent. Every request carries its own id, which the model backend echoes."""

    def __init__(
        self, port, rate=200, clients=8, count=None, target="/v1/chat", method="POST", body=b"{}",
        headers=(), host="api.example.com", prefix="t",
    ):
        self.port, self.rate, self.count = port, rate, count
        self.target, self.method, self.body = target, method, body
        self.headers, self.host, self.prefix = list(headers), host, prefix
        self.results = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.started = time.monotonic()
        self.threads = [
            threading.Thread(target=self.run, args=(i, clients), daemon=True)
            for i in range(clients)
        ]
        for t in self.threads:
            t.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def run(self, index, clients):
        client = None
        number = index
        while not self.stopping.is_set() and (self.count is None or number < self.count):
            due = self.started + number / self.rate if self.rate else 0
            wait = due - time.monotonic()
            if wait > 0 and self.stopping.wait(wait):
                break
            identity = f"{self.prefix}-{number}"
            number += clients
            began = time.monotonic()
            status, version, error = 0, None, None
            try:
                if client is None:
                    client = Client(self.port)
                r = client.request(
                    self.method, self.target, self.headers + [("X-Test-Id", identity)],
                    self.body, self.host,
                )
                status, version = r.status, r.header("x-sluice-version")
                if status == 200 and json.loads(r.body)["id"] != identity:
                    error = "the answer of another request"
                if not r.keep_alive():
                    client.close()
                    client = None
            except (WireError, OSError, ValueError) as e:
                error = repr(e)
                if client is not None:
                    client.close()
                client = None
            done = Result(began, identity, status, version, time.monotonic() - began, error)
            with self.lock:
                self.results.append(done)
        if client is not None:
            client.close()

    def so_far(self):
        with self.lock:
            return list(self.results)

    def wait(self, timeout=120.0):
        """Until `count` requests are done."""
        deadline = time.monotonic() + timeout
        for t in self.threads:
            t.join(max(0.1, deadline - time.monotonic()))
            assert not t.is_alive(), "the load did not finish in time"
        return self.results

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(35.0)
        return self.results


def failures(results):
    return [r for r in results if r.error or r.status != 200]
