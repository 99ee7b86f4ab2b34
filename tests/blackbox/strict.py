"""HTTP/1.1 read as narrowly as RFC 9110 and 9112 allow a sender to write it. It shares nothing with
http_wire's forgiving reader: it is the second parser, the one that must never disagree."""

import re

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# origin-form or the asterisk, of printable ASCII without a fragment.
TARGET = re.compile(rb"/[!\"$-~]*|\*")
VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(?::[0-9]*)?")
SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) [\t \x21-\x7e\x80-\xff]*")
# Fields of one connection: none may pass from one side to the other (RFC 9110, 7.6.1).
HOP_BY_HOP = {b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
              b"upgrade", b"http2-settings"}
# Fields with a meaning before the content: never in a trailer section (RFC 9110, 6.5.1).
NOT_IN_TRAILERS = {b"transfer-encoding", b"content-length", b"host", b"authorization",
                   b"connection",
                   b"cookie", b"set-cookie", b"te", b"trailer", b"expect", b"range",
                   b"content-encoding", b"content-type", b"content-range", b"cache-control",
                   b"x-forwarded-for", b"x-request-id"} | HOP_BY_HOP


class Violation(Exception):
    """These bytes do not have exactly one reading."""


class Incomplete(Exception):
    """A good beginning; more must follow."""


class Strict:
    """A message: start line parts, fields in order (names lower case, all bytes), body, trailers."""

    def __init__(self, start, fields):
        self.start = start
        self.fields = fields
        self.framing = None  # "length", "chunked", "close" or None
        self.body = b""
        self.trailers = []

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None


def line(data, at):
    end = data.find(b"\n", at)
    if end < 0:
        if b"\r" in data[at:-1]:
            raise Violation("a CR without LF")
        raise Incomplete
    if end == at or data[end - 1 : end] != b"\r":
        raise Violation("a LF without CR")
    text = data[at : end - 1]
    if b"\r" in text or b"\x00" in text:
        raise Violation("a control byte in a line")
    return text, end + 1


def fields_of(data, at):
    fields = []
    while True:
        text, at = line(data, at)
        if not text:
            return fields, at
        name, colon, value = text.partition(b":")
        value = value.strip(b" \t")
        if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise Violation(f"not a field: {text!r}")
        fields.append((name.lower(), value))


def chunked(message, data, at):
    parts = []
    while True:
        size, at = line(data, at)
        if not SIZE.fullmatch(size):
            raise Violation(f"not a bare chunk size: {size!r}")
        count = int(size, 16)
        if count == 0:
            break
        if len(data) < at + count + 2:
            raise Incomplete
        parts.append(data[at : at + count])
        at += count
        if data[at : at + 2] != b"\r\n":
            raise Violation("no CRLF behind a chunk")
        at += 2
    message.trailers, at = fields_of(data, at)
    for name, _ in message.trailers:
        if name in NOT_IN_TRAILERS:
            raise Violation(f"{name!r} in a trailer section")
    message.body = b"".join(parts)
    return at


def framed(message, data, at, none, to_end):
    """Reads the body. `none`: there is none whatever the fields say; `to_end`: data is all there is."""
    lengths, codings = message.all(b"content-length"), message.all(b"transfer-encoding")
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise Violation(f"two framings: {lengths} {codings}")
    if codings and codings != [b"chunked"]:
        raise Violation(f"coding {codings}")
    if lengths and not re.fullmatch(rb"[0-9]{1,19}", lengths[0]):
        raise Violation(f"length {lengths}")
    if none:
        return at
    if codings:
        message.framing = "chunked"
        return chunked(message, data, at)
    if lengths:
        message.framing = "length"
        end = at + int(lengths[0])
        if len(data) < end:
            raise Incomplete
        message.body = data[at:end]
        return end
    if to_end is None:  # a request: no framing, no body
        return at
    message.framing = "close"
    if not to_end:
        raise Incomplete
    message.body = data[at:]
    return len(data)


def no_hop_by_hop(message, upgrade):
    for name, value in message.fields:
        if name in HOP_BY_HOP and not (upgrade and name == b"upgrade"):
            raise Violation(f"{name!r} passed through")
        if name == b"te" and value.lower() != b"trailers":
            raise Violation(f"te: {value!r} passed through")
    listed = {t.strip().lower() for v in message.all(b"connection") for t in v.split(b",")}
    if listed - {b"close", b"keep-alive", b"te"} - ({b"upgrade"} if upgrade else set()):
        raise Violation(f"connection: {listed}")


def parse_request(data, upgrade=False):
    """(the request at the front, how many bytes it is). `upgrade`: one may ask to switch."""
    start, at = line(data, 0)
    parts = start.split(b" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]) or not TARGET.fullmatch(parts[1]):
        raise Violation(f"request line {start!r}")
    if parts[2] != b"HTTP/1.1":
        raise Violation(f"version {parts[2]!r}")
    fields, at = fields_of(data, at)
    message = Strict(parts, fields)
    message.method, message.target = parts[0], parts[1]
    hosts = message.all(b"host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise Violation(f"host {hosts}")
    no_hop_by_hop(message, upgrade)
    at = framed(message, data, at, none=False, to_end=None)
    return message, at


def parse_answer(data, to_head=False, ended=False, upgrade=False):
    """(final or interim answer at the front, how many bytes it is). `ended`: the peer closed cleanly
    behind these bytes."""
    start, at = line(data, 0)
    match = STATUS_LINE.fullmatch(start)
    if not match:
        raise Violation(f"status line {start!r}")
    fields, at = fields_of(data, at)
    message = Strict([start], fields)
    message.status = int(match[1])
    no_hop_by_hop(message, upgrade or message.status == 426)
    none = to_head or message.status in (204, 304) or message.status < 200
    if message.status == 204 or message.status < 200:
        if message.get(b"content-length") is not None or message.get(b"transfer-encoding"):
            raise Violation(f"framing in a {message.status}")
    at = framed(message, data, at, none, ended)
    return message, at
