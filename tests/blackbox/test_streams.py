"""A 200 is not a success when the answer is a stream: how each protocol ends well, what counts as a
failure inside, and that the client gets every byte as it came either way."""

import socket
import threading
import time

import pytest

from http_wire import Client, WireError, wait_until

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def event(data, name=None):
    return (b"event: %s\n" % name if name else b"") + b"data: %s\n\n" % data


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def openai(text):
    return event(b'{"choices":[{"index":0,"delta":{"content":"%s"}}]}' % text)


def responses(kind, **more):
    fields = b"".join(b',"%s":"%s"' % (k.encode(), v) for k, v in more.items())
    return event(b'{"type":"%s"%s}' % (kind, fields), kind)


ROLE = event(b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}')
FINISH = event(b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}')
DONE = event(b"[DONE]")
START = event(b'{"type":"message_start","message":{"content":[]}}', b"message_start")
DELTA = event(b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}',
              b"content_block_delta")
PING = event(b'{"type":"ping"}', b"ping")
STOP = event(b'{"type":"message_stop"}', b"message_stop")
CREATED = responses(b"response.created")
TEXT = responses(b"response.output_text.delta", delta=b"Hi")
COMPLETED = responses(b"response.completed")

# name: (protocol, events, what the attempt counts as when the HTTP framing ends well)
STREAMS = {
    "openai": ("openai", [ROLE, openai(b"Hi"), openai(b" you"), FINISH, DONE], "ok"),
    "openai-comments": ("openai", [b": ping\n\n", openai(b"Hi"), b":\n\n", DONE], "ok"),
    "openai-no-done": ("openai", [ROLE, openai(b"Hi"), FINISH], "truncated"),
    "openai-cut": ("openai", [ROLE, openai(b"Hi")], "truncated"),
    "openai-error": ("openai", [openai(b"Hi"), event(b'{"error":{"message":"out of memory"}}')],
                     "stream_error"),
    "openai-error-then-done": ("openai", [openai(b"Hi"), event(b'{"error":{"message":"no"}}'), DONE],
                               "stream_error"),
    "openai-empty": ("openai", [ROLE, FINISH, DONE], "empty"),
    "openai-only-done": ("openai", [DONE], "empty"),
    "openai-nothing": ("openai", [], "truncated"),
    "anthropic": ("anthropic", [START, PING, DELTA, DELTA, STOP], "ok"),
    "anthropic-no-stop": ("anthropic", [START, DELTA], "truncated"),
    "anthropic-error": ("anthropic", [START, DELTA, event(
        b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', b"error")],
        "stream_error"),
    "anthropic-empty": ("anthropic", [START, PING, STOP], "empty"),
    "responses": ("auto", [CREATED, TEXT, TEXT, COMPLETED], "ok"),
    "responses-failed": ("auto", [CREATED, TEXT, responses(b"response.failed")], "stream_error"),
    "responses-no-end": ("auto", [CREATED, TEXT], "truncated"),
    "auto-openai": ("auto", [ROLE, openai(b"Hi"), DONE], "ok"),
    "auto-openai-no-done": ("auto", [ROLE, openai(b"Hi")], "truncated"),
    "auto-anthropic": ("auto", [START, DELTA, STOP], "ok"),
    "auto-anthropic-no-stop": ("auto", [START, DELTA], "truncated"),
    "auto-unknown": ("auto", [event(b"tick"), event(b"tock")], "ok"),
    "plain": ("plain", [event(b"tick"), openai(b"Hi")], "ok"),
    "openai-crlf": ("openai", [openai(b"Hi").replace(b"\n", b"\r\n"), b"data: [DONE]\r\n\r\n"], "ok"),
    "openai-no-space": ("openai", [openai(b"Hi").replace(b"data: ", b"data:"), b"data:[DONE]\n\n"],
                        "ok"),
    "openai-large-event": ("openai", [openai(b"x" * 100000), DONE], "ok"),
    "openai-done-in-text": ("openai", [openai(b"data: [DONE]")], "truncated"),
}


class Script:
    def __init__(self):
        self.pieces, self.then = [], None

    def __call__(self, request, c):
        c.send(STREAM)
        for piece in self.pieces:
            c.send(piece)
        if self.then:
            self.then(c)


@pytest.fixture
def streams(front):
    """streams(protocol) → (sluice, script)"""

    def make(protocol, **keys):
        script = Script()
        s, b = front(script, config={"proxy": {"workers": 1}}, protocol=protocol, **keys)
        s.backend = b
        return s, script

    return make


@pytest.mark.parametrize("name", STREAMS)
def test_stream(streams, name):
    """Whole, an event to a chunk, and byte by byte: always the same bytes and the same verdict."""
    protocol, events, outcome = STREAMS[name]
    s, script = streams(protocol)
    whole = b"".join(events)
    ways = [[chunk(e) for e in events] + [END], [(chunk(whole) if whole else b"") + END]]
    if len(whole) < 2000:
        ways.append([chunk(whole[i : i + 1]) for i in range(len(whole))] + [END])
    for script.pieces in ways:
        r = s.request("POST", "/v1/chat/completions", body=b"{}")
        assert (r.status, r.body) == (200, whole)
    wait_until(lambda: s.attempts() == {outcome: len(ways)}, 5, f"{outcome}: {s.attempts()}")
    assert s.results() == {outcome: len(ways)}


@pytest.mark.parametrize("how,outcome", [("close", "truncated"), ("reset", "reset")])
def test_a_stream_that_breaks_off_is_visibly_cut(streams, how, outcome):
    def then(c):
        time.sleep(0.05)
        if how == "reset":
            c.reset()
        c.close_after = True

    s, script = streams("openai")
    script.pieces, script.then = [chunk(openai(b"Hi"))], then
    with pytest.raises(WireError):
        s.request("POST", "/v1/chat/completions", body=b"{}")
    wait_until(lambda: s.attempts() == {outcome: 1}, 5, outcome)


def test_a_stream_that_falls_silent_is_stalled(streams):
    s, script = streams("openai", upstream={"idle_timeout": "400ms"})
    script.pieces, script.then = [chunk(openai(b"Hi"))], lambda c: c.sock.recv(1)
    began = time.monotonic()
    with pytest.raises(WireError):
        s.request("POST", "/v1/chat/completions", body=b"{}")
    assert 0.3 < time.monotonic() - began < 2
    wait_until(lambda: s.attempts() == {"stalled": 1}, 5, "stalled")


def test_a_stream_with_a_length_is_a_stream_too(front):
    body = openai(b"Hi") + FINISH

    def handler(request, c):
        c.reply(200, body, [("Content-Type", "text/event-stream; charset=utf-8")])

    s, _ = front(handler, protocol="openai")
    assert s.request("POST", "/v1/x", body=b"{}").body == body
    wait_until(lambda: s.attempts() == {"truncated": 1}, 5, "no end mark")


def test_json_is_no_stream(front):
    s, _ = front(lambda request, c: c.reply(200, b'{"error": "in a 200"}',
                                            [("Content-Type", "application/json")]),
                 protocol="openai")
    assert s.request("POST", "/v1/x", body=b"{}").status == 200
    assert s.attempts() == {"ok": 1}


@pytest.mark.parametrize("how", ["close", "reset", "fin-later"])
def test_a_client_that_goes_away_stops_the_model_at_once(front, how):
    """The upstream connection is closed within a moment; nobody is blamed."""
    began, gone = threading.Event(), threading.Event()

    def handler(request, c):
        c.send(STREAM)
        try:
            for _ in range(500):
                c.send(chunk(openai(b"Hi")))
                began.set()
                time.sleep(0.02)
        except OSError:
            gone.set()
            raise

    s, _ = front(handler, protocol="openai")
    c = Client(s.port)
    c.send_request("POST", "/v1/chat/completions", body=b"{}")
    assert c.reader.head().status == 200
    assert began.wait(5)
    time.sleep(0.2)
    if how == "reset":
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    if how == "fin-later":
        c.sock.shutdown(socket.SHUT_WR)
    else:
        c.close()
    assert gone.wait(1.5), "the model still generates"
    wait_until(lambda: s.attempts() == {"client_abort": 1}, 5, "an abort")
    assert s.results() == {"client_abort": 1}
    c.close()


def test_a_client_that_goes_away_before_the_first_byte(front):
    """Thinking is stopped as well as talking."""
    gone = threading.Event()

    def handler(request, c):
        try:
            if c.sock.recv(1) == b"":
                gone.set()
        except ConnectionError:
            gone.set()
        c.close_after = True

    s, b = front(handler)
    c = Client(s.port)
    c.send_request("POST", "/v1/chat/completions", body=b"{}")
    wait_until(lambda: b.count == 1, 5, "arrived")
    time.sleep(0.2)
    c.close()
    assert gone.wait(1.5)
    wait_until(lambda: s.attempts() == {"client_abort": 1}, 5, "an abort")


def test_time_to_first_token_ends_at_the_first_content(front):
    """Not at a role-only chunk or a comment, and the gaps are those between tokens."""

    def handler(request, c):
        c.send(STREAM)
        c.send(chunk(ROLE) + chunk(b": thinking\n\n"))
        time.sleep(0.6)
        c.send(chunk(openai(b"Hi")))
        for _ in range(4):
            time.sleep(0.15)
            c.send(chunk(openai(b" you")))
        c.send(chunk(DONE) + END)

    s, _ = front(handler, protocol="openai")
    assert s.request("POST", "/v1/chat/completions", body=b"{}").status == 200
    m = s.metrics()
    assert m.value("sluice_first_byte_seconds_sum") < 0.4
    assert m.value("sluice_first_token_seconds_count") == 1
    assert 0.55 < m.value("sluice_first_token_seconds_sum") < 1.2
    assert m.value("sluice_token_gap_seconds_count") == 4
    assert 0.5 < m.value("sluice_token_gap_seconds_sum") < 1.4


def test_an_encoded_stream_is_passed_on_and_said_to_be_unseen(front):
    def handler(request, c):
        c.send(STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))
        c.send(chunk(b"\x1f\x8b not really") + END)

    s, _ = front(handler, protocol="openai")
    r = s.request("POST", "/v1/x", body=b"{}")
    assert (r.body, r.header("content-encoding")) == (b"\x1f\x8b not really", "gzip")
    assert s.metrics().value("sluice_streams_unseen_total") == 1
    assert s.attempts() == {"ok": 1}


def test_streams_are_asked_for_unencoded(front):
    """A client that accepts an event stream gets one that can be looked at; others are left alone."""
    s, b = front()
    encodings = [("Accept-Encoding", "gzip, br")]
    s.request("POST", "/v1/x", encodings + [("Accept", "text/event-stream")], body=b"{}")
    assert b.requests[-1].header("accept-encoding") in (None, "identity")
    s.request("POST", "/v1/x", encodings + [("Accept", "application/json")], body=b"{}")
    assert b.requests[-1].header("accept-encoding") == "gzip, br"


@pytest.mark.parametrize("pause,outcome", [(0.5, "ok"), (2.0, "client_abort")])
def test_a_client_that_does_not_read_is_not_the_backends_fault(front, pause, outcome):
    """For less than idle_timeout it gets every byte in the end; beyond, it is given up. Either way
    the backend did not stall."""
    events = [openai(b"x" * 60000) for _ in range(200)]

    def handler(request, c):
        c.send(STREAM)
        for e in events:
            c.send(chunk(e))
        c.send(chunk(DONE) + END)

    s, _ = front(handler, protocol="openai", upstream={"idle_timeout": "1s"})
    c = Client(s.port, receive_buffer=8192)
    c.send_request("POST", "/v1/x", body=b"{}")
    time.sleep(pause)
    if outcome == "ok":
        assert c.response().body == b"".join(events) + DONE
    wait_until(lambda: s.attempts() == {outcome: 1}, 5, outcome)
    c.close()
