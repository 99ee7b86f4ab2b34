"""HTTP/1.1 by hand, on raw sockets: what a test sends and sees is exactly what is on the wire."""

import socket
import time


class WireError(Exception):
    """The peer did not end a message as it must: closed, reset, or bytes that are not HTTP."""


class Message:
    """A request or a response head with its body. Header names keep their case."""

    def __init__(self, start_line, headers):
        self.start_line = start_line
        self.headers = headers
        self.body = b""
        self.trailers = []
        self.raw_body = b""  # as framed on the wire
        first = start_line.split(" ", 2)
        if start_line.startswith("HTTP/"):
            self.version, self.status = first[0], int(first[1])
            self.reason = first[2] if len(first) > 2 else ""
        else:
            self.method, self.target, self.version = first

    def header(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def keep_alive(self):
        tokens = ",".join(self.all("connection")).lower()
        if self.version == "HTTP/1.0":
            return "keep-alive" in tokens
        return "close" not in tokens


class Reader:
    """Reads messages from a socket, whatever the pieces they arrive in."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()

    def more(self):
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionError as e:
            raise WireError("connection reset") from e
        if not data:
            raise WireError("connection closed")
        self.buffer += data

    def until(self, mark):
        at = self.buffer.find(mark)
        while at < 0:
            searched = max(0, len(self.buffer) - len(mark))
            self.more()
            at = self.buffer.find(mark, searched)
        line = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return line

    def exactly(self, count):
        parts = [bytes(self.buffer[:count])]
        del self.buffer[:count]
        left = count - len(parts[0])
        while left > 0:
            try:
                data = self.sock.recv(min(left, 1 << 20))
            except ConnectionError as e:
                raise WireError("connection reset inside a body") from e
            if not data:
                raise WireError("connection closed inside a body")
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def head(self):
        """The next head, or None when the peer closed cleanly between messages."""
        try:
            while not self.buffer:
                self.more()
        except WireError as e:
            if str(e) == "connection closed":
                return None
            raise
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise WireError(f"not a header field: {line!r}")
            headers.append((name, value.strip()))
        return Message(lines[0], headers)

    def chunk(self):
        """One chunk's bytes; b"" is the last one (its trailer is left to read)."""
        size_line = self.until(b"\r\n")
        size = int(size_line.split(b";")[0], 16)
        if size == 0:
            return b""
        data = self.exactly(size)
        if self.exactly(2) != b"\r\n":
            raise WireError("chunk without CRLF")
        return data

    def body(self, message, head_request=False):
        """Reads what the framing of `message` announces into message.body."""
        response = hasattr(message, "status")
        if response and (
            head_request or message.status in (204, 304) or 100 <= message.status < 200
        ):
            return message
        if "chunked" in (message.header("transfer-encoding") or "").lower():
            parts = []
            while True:
                data = self.chunk()
                if not data:
                    break
                parts.append(data)
            while True:
                line = self.until(b"\r\n")
                if not line:
                    break
                name, _, value = line.decode("latin-1").partition(":")
                message.trailers.append((name, value.strip()))
            message.body = b"".join(parts)
        elif message.header("content-length") is not None:
            message.body = self.exactly(int(message.header("content-length")))
        elif response:
            message.body = self.to_end()
        return message

    def to_end(self):
        try:
            while True:
                self.more()
        except WireError as e:
            if str(e) != "connection closed":
                raise
        rest = bytes(self.buffer)
        self.buffer.clear()
        return rest


def head_bytes(method, target, headers):
    lines = [f"{method} {target} HTTP/1.1"] + [f"{n}: {v}" for n, v in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Client:
    """One client connection."""

    def __init__(self, port, timeout=30.0, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_request(self, method, target, headers=(), body=None, host="api.example.com"):
        """`headers` replace the defaults of the same name; body may be a list: then chunked."""
        fields = [] if any(n.lower() == "host" for n, _ in headers) else [("Host", host)]
        fields += list(headers)
        if isinstance(body, list):
            fields.append(("Transfer-Encoding", "chunked"))
            self.send(head_bytes(method, target, fields))
            for part in body:
                self.send(b"%x\r\n%s\r\n" % (len(part), part))
            self.send(b"0\r\n\r\n")
            return
        if body is not None and not any(n.lower() == "content-length" for n, _ in fields):
            fields.append(("Content-Length", str(len(body))))
        self.send(head_bytes(method, target, fields) + (body or b""))

    def response(self, head_request=False, skip_interim=True):
        while True:
            message = self.reader.head()
            if message is None:
                raise WireError("connection closed instead of a response")
            if skip_interim and 100 <= message.status < 200 and message.status != 101:
                continue
            return self.reader.body(message, head_request)

    def request(self, method, target, headers=(), body=None, host="api.example.com"):
        self.send_request(method, target, headers, body, host)
        return self.response(head_request=method == "HEAD")

    def closed_by_peer(self, within=10.0):
        """True when the peer closes (or resets) within that time and sends nothing more."""
        self.sock.settimeout(within)
        try:
            return not self.reader.buffer and self.sock.recv(1) == b""
        except ConnectionError:
            return True
        except socket.timeout:
            return False


def fetch(port, method, target, headers=(), body=None, host="api.example.com", timeout=30.0):
    """One request on a connection of its own."""
    with Client(port, timeout) as c:
        return c.request(method, target, headers, body, host)


def wait_until(condition, timeout, what):
    """Polls until condition() is true and returns what it gave."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s still not: {what}")
        time.sleep(0.02)
