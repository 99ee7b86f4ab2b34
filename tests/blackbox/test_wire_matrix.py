"""One request in is at most one request out, and what goes out is valid and has one reading. Each case
of wire_requests and wire_answers is sent whole with another request right behind it, and byte by
byte; what arrives at the backend is read by a parser that shares nothing with the proxy."""

import json
import socket
import time

import pytest

import strict
from backend import Backend
from http_wire import Client, wait_until
from sluice import Sluice, policy
from wire_answers import CASES as ANSWERS
from wire_answers import Bad, Cut, Passed
from wire_requests import CASES, Refused, Served, Unfinished

BEHIND = b"GET /behind HTTP/1.1\r\nHost: behind\r\n\r\n"
# What the proxy itself adds or rewrites on the way to a backend.
OWN = {b"host", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
       b"x-request-id",
       b"content-length", b"transfer-encoding"}
# Refusals that can come only after the head was sent on: the backend sees a request that stops.
LATE = ("chunk", "extension", "trailer")
BYTE_BY_BYTE_MAX = 600
AT_FAULT = ("5xx", "connect", "unavailable", "timeout", "stalled", "reset", "malformed",
            "truncated",
            "stream_error", "empty", "4xx", "429")


class Tap(Backend):
    """Reads strictly what arrives, byte for byte, and answers every whole request."""

    def __init__(self, version="1.0.0"):
        self.messages, self.violations, self.received = [], [], 0
        super().__init__(version)

    def serve(self, sock, number):
        data = b""
        try:
            while True:
                try:
                    message, used = strict.parse_request(data)
                except strict.Incomplete:
                    more = sock.recv(1 << 17)
                    if not more:
                        return
                    self.received += len(more)
                    data += more
                    continue
                data = data[used:]
                self.messages.append(message)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                             % (len(message.target), message.target))
        except strict.Violation as e:
            self.violations.append((str(e), data))
        except OSError:
            pass
        finally:
            self.open.discard(sock)
            sock.close()


class Rig:
    """One sluice for all cases: one that breaks it shows in the next."""

    def __init__(self, folder, backend, **keys):
        self.backend = backend
        self.sluice = Sluice(folder, [policy("chat", backend, **keys)], workers=1)

    def close(self):
        try:
            self.sluice.stop()
        finally:
            self.sluice.kill()
            self.backend.stop()


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    r = Rig(tmp_path_factory.mktemp("requests"), Tap())
    yield r
    r.close()


def answers_to(client, count):
    """Up to `count` final answers, and whether the connection ended cleanly before that many."""
    answers, data, ended = [], b"", False
    while len(answers) < count:
        try:
            answer, used = strict.parse_answer(data, ended=ended)
        except strict.Incomplete:
            if ended:
                break
            try:
                more = client.sock.recv(1 << 16)
            except ConnectionError:
                break
            ended = not more
            data += more
            continue
        data = data[used:]
        if answer.status >= 200:
            answers.append(answer)
    assert not ended or not data, f"an answer that stops: {data!r}"
    return answers, ended


def send(client, pieces):
    try:
        for piece in pieces:
            client.send(piece)
    except OSError:
        pass  # refused before it was all read


def converse(rig, pieces, behind):
    """(final answers, requests that reached the backend, bytes that did, whether the proxy closed)"""
    tap = rig.backend
    seen, received = len(tap.messages), tap.received
    with Client(rig.sluice.port, timeout=10) as client:
        send(client, pieces + ([BEHIND] if behind else []))
        answers, ended = answers_to(client, 2 if behind else 1)
        keeps = answers and b"close" not in (answers[-1].get(b"connection") or b"")
        if not behind and keeps:
            send(client, [BEHIND])
            more, ended = answers_to(client, 1)
            answers += more
        elif not keeps and not ended:
            ended = client.closed_by_peer(5)
    check_valid(tap)
    return answers, tap.messages[seen:], tap.received - received, ended


def check_valid(tap):
    violations, tap.violations = tap.violations, []
    assert not violations


def last_on_its_connection(wire):
    return b" HTTP/1.0\r\n" in wire or b"Connection: close\r\n" in wire.split(b"\r\n\r\n")[0] + b"\r\n"


def check_refused(name, case, answers, requests, received, ended):
    assert [a.status for a in answers if a.status not in case.want.statuses] == []
    assert len(answers) == 1, "not answered"
    assert not requests, f"reached the backend: {requests[0].start} {requests[0].fields}"
    assert received == 0 or name.startswith(LATE), "something was forwarded"
    assert answers[0].get(b"connection") == b"close"
    assert ended, "the connection was left open"
    error = json.loads(answers[0].body)["error"]
    assert error["code"] and error["message"] and "request_id" in error


def check_served(case, answers, requests, ended):
    want, got = case.want, requests[0] if requests else None
    assert got, f"never reached the backend: {[(a.status, a.body) for a in answers]}"
    last = last_on_its_connection(case.wire)
    assert [r.target for r in requests] == [want.target] + ([] if last else [b"/behind"])
    assert [a.body for a in answers] == [r.target for r in requests]
    assert ended == last
    assert (got.method, got.body, got.trailers) == (want.method, want.body, want.trailers)
    assert got.get(b"host") == want.host
    assert [f for f in got.fields if f[0] not in OWN] == want.fields
    assert got.get(b"x-forwarded-for") == b"127.0.0.1"


def check(name, case, outcome):
    answers, requests, received, ended = outcome
    if isinstance(case.want, Refused):
        check_refused(name, case, answers, requests, received, ended)
    else:
        check_served(case, answers, requests, ended)


def of_kind(kind):
    return [n for n, c in CASES.items() if isinstance(c.want, kind)]


def charged(sluice):
    """What the versions are held responsible for."""
    metrics = sluice.metrics()
    return {o: v for o in AT_FAULT if (v := metrics.value("sluice_requests_total", outcome=o))}


@pytest.mark.parametrize("name", of_kind((Refused, Served)))
def test_request(rig, name):
    case, before = CASES[name], charged(rig.sluice)
    check(name, case, converse(rig, [case.wire], behind=True))
    if len(case.wire) <= BYTE_BY_BYTE_MAX:
        check(name, case, converse(rig, [case.wire[i : i + 1] for i in range(len(case.wire))],
                                   False))
    if isinstance(case.want, Refused):
        assert charged(rig.sluice) == before, "a version was charged with a client's error"


CUT_ANYWHERE = ["length", "chunked", "extension-quoted", "fields-repeat-in-order", "cl-te-5",
                "absolute-httpx3a//b.example.comx3a81/case?x", "name-space-colon",
                "chunk-more-data"]


@pytest.mark.parametrize("name", CUT_ANYWHERE)
def test_request_in_two_pieces(rig, name):
    case = CASES[name]
    for cut in range(1, len(case.wire)):
        with Client(rig.sluice.port, timeout=10) as client:
            seen = len(rig.backend.messages)
            send(client, [case.wire[:cut]])
            time.sleep(0.002)
            send(client, [case.wire[cut:]])
            answers, ended = answers_to(client, 1)
            status = answers[0].status
            wanted = case.want.statuses if isinstance(case.want, Refused) else (200,)
            assert status in wanted, f"cut at {cut}: {status}"
            if isinstance(case.want, Served):
                got = rig.backend.messages[seen]
                assert (got.target, got.body) == (case.want.target, case.want.body), f"cut at {cut}"
            else:
                assert len(rig.backend.messages) == seen, f"cut at {cut}: reached the backend"
    check_valid(rig.backend)


@pytest.mark.parametrize("kind", ["get", "length", "chunked"])
@pytest.mark.parametrize("how", ["fin", "reset"])
def test_unfinished_request_is_never_completed(rig, kind, how):
    """Cut at every byte: nothing whole arrives, nobody is charged, and no answer says 2xx."""
    seen, before = len(rig.backend.messages), charged(rig.sluice)
    for name in of_kind(Unfinished):
        if not name.startswith(f"cut-{kind}"):
            continue
        with Client(rig.sluice.port, timeout=10) as client:
            client.send(CASES[name].wire)
            if how == "reset":
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                continue
            client.sock.shutdown(socket.SHUT_WR)
            answers, _ = answers_to(client, 1)
            assert [a.status for a in answers if a.status not in (400, 408)] == [], name
    wait_until(lambda: rig.sluice.metrics().value("sluice_requests_active") == 0, 10, "all ended")
    assert len(rig.backend.messages) == seen
    check_valid(rig.backend)
    assert charged(rig.sluice) == before


def test_nothing_behind_connection_close_is_read(rig):
    seen = len(rig.backend.messages)
    with Client(rig.sluice.port) as client:
        client.send(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + BEHIND)
        answers, ended = answers_to(client, 2)
    assert ([a.body for a in answers], ended) == ([b"/last"], True)
    assert [m.target for m in rig.backend.messages[seen:]] == [b"/last"]


def test_a_late_body_is_not_read_as_a_request(front):
    """0.CL: the backend answers without reading; what the client sends then is a body to nobody."""

    def handler(request, c):
        c.reply(403, b"no")
        c.reader.body(request)

    s, b = front(handler, read_bodies=False)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    for expect in (b"", b"Expect: 100-continue\r\n"):
        with Client(s.port) as client:
            client.send(b"POST /case HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n"
                        % (expect, len(smuggled)))
            assert client.response().status == 403
            time.sleep(0.1)
            send(client, [smuggled])
            assert client.closed_by_peer(5), "answered"
    assert {r.target for r in b.requests} == {"/case"}


def test_requests_of_all_kinds_in_one_write_are_answered_in_order(rig):
    names = [n for n in of_kind(Served) if len(CASES[n].wire) < 2000
             and not last_on_its_connection(CASES[n].wire)]
    with Client(rig.sluice.port, timeout=20) as client:
        client.send(b"".join(CASES[n].wire for n in names))
        answers, _ = answers_to(client, len(names))
    assert [a.body for a in answers] == [CASES[n].want.target for n in names]


# --- answers -------------------------------------------------------------------------------------

# What the proxy itself adds to an answer or frames anew.
OWN_OF_ANSWERS = {b"date", b"x-sluice-version", b"via", b"x-request-id", b"connection", b"content-length",
                  b"transfer-encoding"}


class Player(Backend):
    """Answers /case with the bytes of the moment, anything else with "plain"."""

    def __init__(self):
        self.case, self.bytewise = None, False
        super().__init__("1.0.0", self.play)

    def play(self, request, c):
        if request.target != "/case":
            c.reply(200, b"plain")
            return
        wire = self.case.wire
        for piece in [wire[i : i + 1] for i in range(len(wire))] if self.bytewise else [wire]:
            c.send(piece)
        if self.case.then == "reset":
            time.sleep(0.02)  # a reset overtakes bytes that were not read yet
            c.reset()
        c.close_after = self.case.then != "stay"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    r = Rig(tmp_path_factory.mktemp("answers"), Player())
    yield r
    r.close()


def ask(client, case):
    """(interim statuses, the final answer or None when it was not whole, bytes) of /case."""
    fields = "Content-Length: 0\r\n" if case.method == "POST" else ""
    client.send(f"{case.method} /case HTTP/1.{case.minor}\r\nHost: a\r\n{fields}\r\n".encode())
    interim, data, ended = [], b"", False
    while True:
        try:
            answer, used = strict.parse_answer(data, case.method == "HEAD", ended)
        except strict.Incomplete:
            if ended:
                return interim, None, data
            try:
                more = client.sock.recv(1 << 17)
            except ConnectionError:
                return interim, None, data
            ended = not more
            data += more
            continue
        if answer.status >= 200:
            assert len(data) == used, f"more than the answer: {data[used:]!r}"
            return interim, answer, data
        interim.append(answer.status)
        data = data[used:]


def check_answer(case, interim, answer):
    if isinstance(case.want, Cut):
        assert answer is None or answer.status == 502, (
            f"looks whole: {answer.start} {answer.body!r}"
        )
        return
    assert answer, "an answer that is not whole"
    if isinstance(case.want, Bad):
        assert answer.status == 502, (answer.start, answer.fields)
        assert json.loads(answer.body)["error"]["code"]
        return
    want = case.want
    assert (answer.status, answer.body) == (want.status, want.body)
    assert [f for f in answer.fields if f[0] not in OWN_OF_ANSWERS] == want.fields
    assert answer.trailers == want.trailers
    assert answer.all(b"x-sluice-version") == [b"1.0.0"]
    assert interim == (want.interim if case.minor == 1 else [])
    if case.minor == 0:
        assert answer.framing != "chunked"


def check_afterwards(rig, case, client, answer, number):
    """The client's next request gets an answer of its own, over the right connection."""
    keeps = answer and case.minor == 1 and answer.get(b"connection") != b"close"
    if keeps:
        client.send_request("GET", "/plain")
        assert client.response().body == b"plain", "the next request got something else"
    else:
        assert client.closed_by_peer(5) or answer is None
        assert rig.sluice.request("GET", "/plain").body == b"plain"
    again = rig.backend.requests[-1].connection
    if isinstance(case.want, Passed) and case.want.reuse is not None:
        assert (again == number) == case.want.reuse, f"reused: {again == number}"
    elif not isinstance(case.want, Passed):
        assert again != number, "a broken connection was used again"


def has_surplus(name):
    """Surplus that comes later, on a connection that is in use again, no proxy can tell from an
    answer: such cases are sent whole only."""
    return "surplus" in name or "with-body" in name or name == "204-chunked"


@pytest.mark.parametrize("name,how", [
    (n, how) for n, c in ANSWERS.items() for how in ("whole", "bytes")
    if how == "whole" or (len(c.wire) <= BYTE_BY_BYTE_MAX and not has_surplus(n))
])
def test_answer(answers, name, how):
    case = ANSWERS[name]
    metrics = answers.sluice.metrics
    counted = metrics().value("sluice_requests_total", outcome=case.outcome)
    answers.backend.case, answers.backend.bytewise = case, how == "bytes"
    with Client(answers.sluice.port, timeout=10) as client:
        interim, answer, _ = ask(client, case)
        number = [r for r in answers.backend.requests if r.target == "/case"][-1].connection
        check_answer(case, interim, answer)
        check_afterwards(answers, case, client, answer, number)
    plain = case.outcome == "ok"
    wait_until(lambda: metrics().value("sluice_requests_total", outcome=case.outcome)
               == counted + 1 + plain, 5, f"counted as {case.outcome}")
