"""One request in is at most one request out, and what goes out is valid and has one reading. The cases
are the ways in which two HTTP parsers have been made to disagree."""

import re
import threading
import time

import pytest

from backend import Backend
from http_wire import Client, WireError
from sluice import Sluice, policy

H = b"Host: api.example.com\r\n"
TOKEN = re.compile(rb"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


def post(fields, body=b""):
    return b"POST /case HTTP/1.1\r\n" + H + fields + b"\r\n" + body


def te(value, body=b"5\r\nhello\r\n0\r\n\r\n"):
    return post(b"Transfer-Encoding: " + value + b"\r\n", body)


def length(value, body=b"hello"):
    return post(b"Content-Length: " + value + b"\r\n", body)


def chunks(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


def get(line=b"GET /case HTTP/1.1", fields=H):
    return line + b"\r\n" + fields + b"\r\n"


# Must be refused: a 4xx or 501/505, or a close without a word; nothing complete reaches the backend.
REFUSED = {
    "te-unknown": te(b"xchunked"),
    "te-twice-in-one": te(b"chunked, chunked"),
    "te-parameter": te(b"chunked;q=1"),
    "te-quoted": te(b'"chunked"'),
    "te-vertical-tab": te(b"\x0bchunked"),
    "te-form-feed": te(b"chunked\x0c"),
    "te-nbsp": te(b"chunked\xa0"),
    "te-kelvin": te(b"chun\xe2\x84\xaaed"),
    "te-identity": te(b"identity"),
    "te-empty": te(b""),
    "te-not-last": te(b"chunked, identity"),
    "te-two-fields": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                          b"0\r\n\r\n"),
    "te-two-chunked": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                           b"0\r\n\r\n"),
    "te-space-before-colon": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "te-fold": post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "te-first-line-fold": b"POST /case HTTP/1.1\r\n Transfer-Encoding: chunked\r\n" + H + b"\r\n",
    "te-nul": te(b"chunked\x00"),
    "te-bare-cr": te(b"\rchunked"),
    "length-minus": length(b"-5"),
    "length-plus": length(b"+5"),
    "length-hex": length(b"0x5"),
    "length-underscore": length(b"1_0"),
    "length-fraction": length(b"5.0"),
    "length-exponent": length(b"1e1"),
    "length-list-hole": length(b"5,,5"),
    "length-list-differs": length(b"5, 6"),
    "length-empty": length(b""),
    "length-two-words": length(b"5 5"),
    "length-letters": length(b"five"),
    "length-arabic": length("٥".encode()),
    "length-overflow-64": length(b"18446744073709551621"),
    "length-overflow-63": length(b"9223372036854775813"),
    "length-differs": post(b"Content-Length: 5\r\nContent-Length: 50\r\n", b"hello"),
    "length-space-before-colon": post(b"Content-Length : 5\r\n", b"hello"),
    "length-nul-name": post(b"Content-Length\x00: 5\r\n", b"hello"),
    "host-missing": get(fields=b""),
    "host-twice": get(fields=H + H),
    "host-space": get(fields=b"Host: a b\r\n"),
    "host-slash": get(fields=b"Host: a/b\r\n"),
    "host-comma": get(fields=b"Host: a,b\r\n"),
    "host-user": get(fields=b"Host: user@a\r\n"),
    "host-control": get(fields=b"Host: a\x01b\r\n"),
    "host-bad-port": get(fields=b"Host: a:8a\r\n"),
    "host-space-before-colon": get(fields=b"Host : a\r\n"),
    "target-star": get(b"GET * HTTP/1.1"),
    "target-relative": get(b"GET case HTTP/1.1"),
    "target-fragment": get(b"GET /case#x HTTP/1.1"),
    "target-nul": get(b"GET /ca\x00se HTTP/1.1"),
    "target-del": get(b"GET /ca\x7fse HTTP/1.1"),
    "target-control": get(b"GET /ca\x01se HTTP/1.1"),
    "target-tab": get(b"GET /ca\tse HTTP/1.1"),
    "target-space": get(b"GET /ca se HTTP/1.1"),
    "target-missing": get(b"GET HTTP/1.1"),
    "target-empty-authority": get(b"GET http:///case HTTP/1.1"),
    "target-user": get(b"GET http://u:p@a/case HTTP/1.1"),
    "connect": get(b"CONNECT a:443 HTTP/1.1"),
    "method-separator": get(b"GE(T /case HTTP/1.1"),
    "method-control": get(b"GE\x01T /case HTTP/1.1"),
    "method-8-bit": get(b"G\xc9T /case HTTP/1.1"),
    "version-2": get(b"GET /case HTTP/2.0"),
    "version-digits": get(b"GET /case HTTP/1.10"),
    "version-lower-case": get(b"GET /case http/1.1"),
    "version-other": get(b"GET /case ICE/1.0"),
    "version-missing": get(b"GET /case"),
    "version-comma": get(b"GET /case HTTP/1,1"),
    "line-two-spaces": get(b"GET  /case HTTP/1.1"),
    "line-leading-space": b" " + get(),
    "name-space": get(fields=H + b"X Y: 1\r\n"),
    "name-empty": get(fields=H + b": 1\r\n"),
    "name-control": get(fields=H + b"X\x01Y: 1\r\n"),
    "name-8-bit": get(fields=H + b"X\xe9: 1\r\n"),
    "name-tab": get(fields=H + b"X\t: 1\r\n"),
    "no-colon": get(fields=H + b"novalue\r\n"),
    "value-nul": get(fields=H + b"X: a\x00b\r\n"),
    "value-bare-cr": get(fields=H + b"X: a\rb: c\r\n"),
    "fold-tab": get(fields=H + b"X: 1\r\n\tY: 2\r\n"),
    "fold-first": b"GET /case HTTP/1.1\r\n X: 1\r\n" + H + b"\r\n",
    "chunk-empty-size": chunks(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk-plus": chunks(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk-minus": chunks(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk-0x": chunks(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk-underscore": chunks(b"0_5\r\nhello\r\n0\r\n\r\n"),
    "chunk-leading-space": chunks(b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk-overflow": chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk-overflow-63": chunks(b"8000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk-no-crlf-after-data": chunks(b"5\r\nhello0\r\n\r\n"),
    "chunk-two-bytes-more": chunks(b"5\r\nhelloXX0\r\n\r\n"),
    "chunk-letter": chunks(b"5g\r\nhello\r\n0\r\n\r\n"),
    "chunk-nul-extension": chunks(b"5;a=\x00\r\nhello\r\n0\r\n\r\n"),
    "chunk-bare-cr-extension": chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "trailer-nul": chunks(b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n"),
    "endless-chunk-size": chunks(b"0" * 100000),
    "endless-extension": chunks(b"5;" + b"x" * 200000),
    "endless-trailer": chunks(b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 50000),
    "endless-head": b"GET /case HTTP/1.1\r\n" + H + b"X: y\r\n" * 50000,
    "endless-method": b"G" * 200000,
}

# Must be taken as one request with this body, or refused; never as something else.
ONE_READING = {
    "length-equal-twice": (post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "length-equal-list": (length(b"5, 5"), b"hello"),
    "length-zeros": (length(b"000005"), b"hello"),
    "te-capitals": (te(b"CHUNKED"), b"hello"),
    "te-tab": (te(b"\tchunked"), b"hello"),
    "te-and-length": (
        post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        b"hello",
    ),
    "te-1.0": (
        b"POST /case HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    "chunk-capitals": (chunks(b"A\r\nhellohello\r\n0\r\n\r\n"), b"hellohello"),
    "chunk-zeros": (chunks(b"0000005\r\nhello\r\n000\r\n\r\n"), b"hello"),
    "chunk-extension": (chunks(b'5;a=1;b="x;y"\r\nhello\r\n0;z\r\n\r\n'), b"hello"),
    "chunk-trailing-space": (chunks(b"5 \r\nhello\r\n0\r\n\r\n"), b"hello"),
    "chunk-bare-lf": (chunks(b"5\nhello\r\n0\r\n\r\n"), b"hello"),
    "trailers": (chunks(b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"), b"hello"),
    "trailer-no-colon": (chunks(b"5\r\nhello\r\n0\r\nnovalue\r\n\r\n"), b"hello"),
    "trailer-framing": (
        chunks(b"5\r\nhello\r\n0\r\nContent-Length: 50\r\nHost: evil\r\nTransfer-Encoding: x\r\n"
               b"Authorization: Bearer evil\r\n\r\n"),
        b"hello",
    ),
    "bare-lf-lines": (b"POST /case HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello", b"hello"),
    "leading-empty-line": (b"\r\n" + length(b"5"), b"hello"),
    "absolute-target": (
        b"POST http://b.example.com/case HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello",
        b"hello",
    ),
    "value-8-bit": (post(b"X: caf\xe9\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "value-tab": (post(b"X: a\tb\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "nominated-framing": (
        post(b"Connection: Content-Length, Host\r\nContent-Length: 5\r\n", b"hello"), b"hello",
    ),
    "nominated-te": (
        post(b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
             b"5\r\nhello\r\n0\r\n\r\n"),
        b"hello",
    ),
    "upgrade-h2c": (
        post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
             b"Content-Length: 5\r\n", b"hello"),
        b"hello",
    ),
    "underscore-names": (
        post(b"Content_Length: 50\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n", b"hello"),
        b"hello",
    ),
    "version-1.2": (b"POST /case HTTP/1.2\r\n" + H + b"Content-Length: 5\r\n\r\nhello", b"hello"),
}


class Recorder:
    """A backend's handler that keeps what arrives as bytes, and answers every complete request."""

    def __init__(self):
        self.requests = []  # (head bytes, body)
        self.lock = threading.Lock()

    def __call__(self, request, c):
        c.reader.body(request)
        with self.lock:
            self.requests.append(request)
        c.reply(200, b"ok")


def check_valid(request):
    """What goes to a backend has exactly one reading."""
    names = [n.lower().encode("latin-1") for n, _ in request.headers]
    assert all(TOKEN.match(n) for n in names), request.headers
    for _, value in request.headers:
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f]", value), request.headers
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1, request.headers
    for value in request.all("transfer-encoding"):
        assert value == "chunked"
    for value in request.all("content-length"):
        assert value.isascii() and value.isdigit()
    assert b"upgrade" not in names
    assert request.version == "HTTP/1.1"
    assert request.header("authorization") != "Bearer evil"
    assert request.header("host") != "evil"


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """One sluice for all cases: one that breaks it shows in the next."""
    recorder = Recorder()
    b = Backend("1.0.0", recorder, read_bodies=False)
    s = Sluice(tmp_path_factory.mktemp("strict"), [policy("chat", b)], workers=1)
    s.recorder = recorder
    yield s
    try:
        s.stop()
    finally:
        s.kill()
        b.stop()


def exchange(s, wire):
    """Sends the bytes and a request behind them; (responses, requests that reached the backend)."""
    with s.recorder.lock:
        before = len(s.recorder.requests)
    responses = []
    with Client(s.port, timeout=15) as c:
        try:
            c.send(wire + b"GET /second HTTP/1.1\r\nHost: second\r\n\r\n")
        except OSError:
            pass  # refused before it was read
        try:
            while len(responses) < 3:
                responses.append(c.response())
                if not responses[-1].keep_alive() or responses[-1].status >= 400:
                    break
                if len(responses) == 2:
                    c.sock.settimeout(0.1)  # two were sent; a third would come at once
        except (WireError, TimeoutError):
            pass
    with s.recorder.lock:
        return responses, s.recorder.requests[before:]


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(rig, name):
    responses, requests = exchange(rig, REFUSED[name])
    assert not requests, [(r.start_line, r.headers, r.body) for r in requests]
    assert len(responses) <= 1
    for r in responses:
        assert r.status in (400, 405, 411, 413, 414, 417, 431, 501, 505), r.status
        assert not r.keep_alive()
    assert rig.request().status == 200
    rig.recorder.requests.pop()


@pytest.mark.parametrize("name", ONE_READING)
def test_has_one_reading(rig, name):
    wire, body = ONE_READING[name]
    responses, requests = exchange(rig, wire)
    assert responses, "neither answered nor refused"
    if responses[0].status != 200:
        assert responses[0].status in (400, 411, 413, 417, 426, 501, 505), responses[0].status
        assert not requests
        return
    assert requests[0].body == body
    assert requests[0].target == "/case"
    assert [r.target for r in requests[1:]] in ([], ["/second"])
    assert len(responses) == len(requests)
    for r in requests:
        check_valid(r)


def test_nothing_after_connection_close(rig):
    responses, requests = exchange(
        rig, b"GET /case HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n"
    )
    assert [r.target for r in requests] == ["/case"]
    assert len(responses) == 1


def test_a_refused_body_is_not_read_as_a_request(front):
    """0.CL: the backend answers early; the late body must not become a request."""

    def handler(request, c):
        c.reply(403, b"no")
        try:
            c.reader.body(request)
        except WireError:
            pass

    s, b = front(handler, read_bodies=False)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    with Client(s.port) as c:
        c.send(b"POST /case HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(smuggled))
        assert c.response().status == 403
        time.sleep(0.2)
        try:
            c.send(smuggled)
            time.sleep(0.3)
        except OSError:
            pass
    assert all(r.target != "/smuggled" for r in b.requests)


def test_unfinished_request_is_never_completed_upstream(front):
    done = threading.Event()
    seen = []

    def handler(request, c):
        try:
            c.reader.body(request)
            seen.append(request)
        except WireError:
            done.set()
            raise
        c.reply(200, b"ok")

    s, _ = front(handler, read_bodies=False)
    for framing, part in (
        (b"Content-Length: 100\r\n", b"x" * 50),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n"),
    ):
        done.clear()
        c = Client(s.port)
        c.send(post(framing, part))
        time.sleep(0.2)
        c.close()
        assert done.wait(5), "the backend still waits for the rest"
    assert not seen


# --- answers -------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"

# The backend's bytes → what the client may get: a status, or None for "must not look complete".
BAD_ANSWERS = {
    "empty-line": b"\r\n\r\n",
    "status-short": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status-long": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status-minus": b"HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n",
    "version-2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "length-differs": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length-minus": OK + b"Content-Length: -5\r\n\r\nhello",
    "length-overflow": OK + b"Content-Length: 18446744073709551621\r\n\r\nhello",
    "length-list": OK + b"Content-Length: 5, 6\r\n\r\nhello",
    "te-unknown": OK + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "te-twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "name-space": OK + b"X Y: 1\r\nContent-Length: 0\r\n\r\n",
    "name-empty": OK + b": 1\r\nContent-Length: 0\r\n\r\n",
    "value-nul": OK + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "value-bare-cr": OK + b"X: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
    "no-colon": OK + b"novalue\r\nContent-Length: 0\r\n\r\n",
    "endless-head": OK + b"X: y\r\n" * 100000,
    "endless-interim": b"HTTP/1.1 102 Processing\r\n\r\n" * 20000,
    "unasked-101": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nhello",
}
# A good head, then a body that breaks: the client must be able to tell.
CUT_ANSWERS = {
    "length-short": OK + b"Content-Length: 10\r\n\r\nhello",
    "chunk-bad-size": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
    "chunk-no-crlf": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello5\r\nhello\r\n0\r\n\r\n",
    "chunk-no-end": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunk-half-end": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "chunk-in-the-middle": OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\nhello",
    "chunk-overflow": OK + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
}
# Odd, and passed on in a valid form (or refused with 502).
GOOD_ANSWERS = {
    "no-reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "version-1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "version-1.0-to-the-end": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "length-twice": (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "te-and-length": (
        OK + b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    "bare-lf": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"hello"),
    "fold": (OK + b"X: 1\r\n 2\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "space-before-colon": (OK + b"X : 1\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "surplus": (OK + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", b"hello"),
    "surplus-chunked": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 500 X\r\n\r\n",
        b"hello",
    ),
    "trailer-framing": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
        b"hello",
    ),
    "extension": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 3000 + b"\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    "204-with-body": (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", b""),
    "304-with-body": (b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello", b""),
    "205-with-body": (b"HTTP/1.1 205 Reset\r\nContent-Length: 5\r\n\r\nhello", None),
    "418": (b"HTTP/1.1 418 Teapot\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "599": (b"HTTP/1.1 599 Odd\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "8-bit-reason": (b"HTTP/1.1 200 Gr\xfcn\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
}


class Script:
    """Answers /case with the bytes of the moment and closes; anything else with 200."""

    def __init__(self):
        self.bytes = b""

    def __call__(self, request, c):
        if request.target != "/case":
            c.reply(200, b"plain")
            return
        c.send(self.bytes)
        c.close_after = True


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    script = Script()
    b = Backend("1.0.0", script)
    s = Sluice(tmp_path_factory.mktemp("answers"), [policy("chat", b)], workers=1)

    def ask(wire, method="GET"):
        script.bytes = wire
        with Client(s.port, timeout=15) as c:
            c.send_request(method, "/case")
            r = c.response(head_request=method == "HEAD")
            rest = b""
            if r.keep_alive():
                c.send_request("GET", "/next")
                rest = c.response().body
                assert rest == b"plain"
            else:
                assert c.closed_by_peer()
            return r

    ask.sluice = s
    yield ask
    try:
        s.stop()
    finally:
        s.kill()
        b.stop()


def check_answer(r):
    for name, value in r.headers:
        assert TOKEN.match(name.encode("latin-1")), r.headers
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f]", value), r.headers
    assert r.header("set-cookie") is None
    assert len(r.all("content-length")) + len(r.all("transfer-encoding")) <= 1, r.headers


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answer_becomes_a_502(scripted, name):
    r = scripted(BAD_ANSWERS[name])
    assert r.status == 502, (r.status, r.headers)
    check_answer(r)


@pytest.mark.parametrize("name", CUT_ANSWERS)
def test_broken_body_does_not_look_complete(scripted, name):
    try:
        r = scripted(CUT_ANSWERS[name])
    except WireError:
        return
    assert r.status == 502, (r.status, r.headers, r.body)


@pytest.mark.parametrize("name", GOOD_ANSWERS)
def test_odd_answer_is_passed_on_in_a_valid_form(scripted, name):
    wire, body = GOOD_ANSWERS[name]
    r = scripted(wire)
    check_answer(r)
    if r.status != 502 and body is not None:
        assert r.body == body
    assert scripted.sluice.request("GET", "/other").body == b"plain"


def test_head_answer_with_a_body(scripted):
    r = scripted(OK + b"Content-Length: 5\r\n\r\nhello", method="HEAD")
    assert (r.status, r.body) == (200, b"")
