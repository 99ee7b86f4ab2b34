"""Client and origin of a counted run, in one thread and in lock-step: all connections send, then all are
answered, then all have read.

The proxy stands still (SIGSTOP) while a side speaks, so that it finds all of it in one turn of its
loop, as under full load, however the machine schedules the two processes: the counts are the same
each time. What that costs is one interrupted wait per stop.
"""

import os
import select
import signal
import socket

from callgrind import Failure

TIMEOUT = 60.0  # of one wait; a machine that is that slow could not count anything in time

# 1 KiB, and an end that a reader can know it by.
BODY = (b'{"model":"m","messages":[{"role":"user","content":"').ljust(1015, b"x") + b'"}]} {}\n\n'
BODY_END = b"{}\n\n"

HEADS = {
    # What a load generator sends.
    "plain": (b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\n"
              b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"),
    # What the public Python SDK of a model API sends, field for field in kind and length.
    "sdk": (b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\n"
            b"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
            b"Accept: application/json\r\nContent-Type: application/json\r\n"
            b"User-Agent: OpenAI/Python 1.54.3\r\nX-Stainless-Lang: python\r\n"
            b"X-Stainless-Package-Version: 1.54.3\r\nX-Stainless-OS: Linux\r\n"
            b"X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n"
            b"X-Stainless-Runtime-Version: 3.11.7\r\nX-Stainless-Retry-Count: 0\r\n"
            b"Authorization: Bearer sk-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL\r\n"
            b"Content-Length: %d\r\n\r\n"),
}

JSON = b'{"id":"cmpl-1","choices":[{"text":"'.ljust(250, b"y") + b'"}]}\n'
ANSWER = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
          b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: uvicorn\r\n\r\n" % len(JSON)) + JSON

STREAM_HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
               b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n"
               b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: uvicorn\r\n\r\n")


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


EVENT = chunk(b'data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk",'
              b'"created":1767225600,"model":"m-1","choices":[{"index":0,"delta":'
              b'{"content":" token"},"logprobs":null,"finish_reason":null}]}\n\n')
STREAM_END = chunk(b"data: [DONE]\n\n") + chunk(b"")


class Rounds:
    """`connections` clients of the proxy at `port`, and an origin behind the sockets `listeners`."""

    def __init__(self, port, listeners, pid, connections):
        self.port, self.pid = port, pid
        self.poll = select.epoll()
        self.listeners = {s.fileno(): s for s in listeners}
        for fd in self.listeners:
            self.poll.register(fd, select.EPOLLIN)
        self.upstreams, self.clients = {}, []
        for _ in range(connections):
            self.clients.append(socket.create_connection(("127.0.0.1", port), TIMEOUT))

    def close(self):
        for s in [*self.clients, *self.upstreams.values(), *self.listeners.values()]:
            s.close()
        self.poll.close()

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise Failure(f"sluice ended with status {status:#x}")

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def say(self, sockets, data):
        """All of them in one turn of the proxy's loop."""
        self.pause()
        for s in sockets:
            s.sendall(data)
        self.resume()

    def requests(self, wanted):
        """The upstream connections on which the next `wanted` requests have come whole."""
        whole = []
        while len(whole) < wanted:
            events = self.poll.poll(TIMEOUT)
            if not events:
                raise Failure(f"only {len(whole)} of {wanted} requests reached the origin")
            for fd, _ in events:
                if fd in self.listeners:
                    s, _ = self.listeners[fd].accept()
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.upstreams[s.fileno()] = s
                    self.poll.register(s.fileno(), select.EPOLLIN)
                    continue
                data = self.upstreams[fd].recv(65536)
                if not data:
                    self.upstreams.pop(fd).close()
                elif data.endswith(BODY_END):
                    whole.append(self.upstreams[fd])
        return whole

    def heard(self, sockets, end, first=b""):
        """Every one of them has read up to `end`; what it read began with `first`."""
        for s in sockets:
            data = s.recv(65536)
            while data and not data.endswith(end):
                more = s.recv(65536)
                data = data + more if more else b""
            if not data.startswith(first) or not data:
                raise Failure(f"a client read {data[:200]!r}")

    def plain(self, head, connections, rounds=1):
        """`rounds` times one request with a JSON answer on each of the first `connections`."""
        clients = self.clients[:connections]
        request = HEADS[head] % len(BODY) + BODY
        for _ in range(rounds):
            self.say(clients, request)
            self.say(self.requests(len(clients)), ANSWER)
            self.heard(clients, JSON[-4:], b"HTTP/1.1 200 ")

    def open_streams(self, connections):
        """An event stream on each, as yet without events. Returns (clients, origin's sides)."""
        clients = self.clients[:connections]
        self.say(clients, HEADS["sdk"] % len(BODY) + BODY)
        upstreams = self.requests(len(clients))
        for fd in set(self.upstreams) - {s.fileno() for s in upstreams}:
            self.upstreams.pop(fd).close()  # else they expire while events are counted
        self.say(upstreams, STREAM_HEAD)
        self.heard(clients, b"\r\n\r\n", b"HTTP/1.1 200 ")
        return clients, upstreams

    def events(self, streams, rounds):
        clients, upstreams = streams
        for _ in range(rounds):
            self.say(upstreams, EVENT)
            self.heard(clients, EVENT[-4:])

    def end_streams(self, streams):
        clients, upstreams = streams
        self.say(upstreams, STREAM_END)
        self.heard(clients, b"\r\n0\r\n\r\n")
