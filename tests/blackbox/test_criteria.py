"""Every criterion on real sockets: a canary that is bad in that one way loses its traffic, and before
it turned bad it did not. Each policy has one criterion alone, so nothing else can have caught it."""

import json
import random
import re
import socket
import threading
import time

import pytest

from http_wire import Client, WireError, wait_until
from sluice import policy, steps
from test_streams import DONE, END, FINISH, ROLE, STREAM, chunk, event, openai

GUARD = {"slot": "100ms", "min_bad_slots": 2, "confirm": []}
ENOUGH = 60  # of the canary's requests that a criterion counted, before the canary turns bad


# --- models: each answers well until `bad` is set --------------------------------------------------


class Model:
    """A handler for a Backend. How it is bad is the subclass's."""

    def __init__(self, seed):
        self.bad = False
        self.random = random.Random(seed)

    def __call__(self, request, c):
        (self.fail if self.bad else self.answer)(request, c)

    def answer(self, request, c):
        self.json(c, {"ok": True})

    def fail(self, request, c):
        raise NotImplementedError

    def json(self, c, document, status=200):
        c.reply(status, json.dumps(document).encode(), [("Content-Type", "application/json")])


class Errors(Model):
    def fail(self, request, c):
        self.json(c, {"error": "model failed"}, 500)


class NotFound(Model):
    def fail(self, request, c):
        self.json(c, {"detail": "Not Found"}, 404)


class RateLimited(Model):
    def fail(self, request, c):
        if self.random.random() < 0.5:
            self.json(c, {"detail": "slow down"}, 429)
        else:
            self.answer(request, c)


class Slow(Model):
    def fail(self, request, c):
        time.sleep(0.25)
        self.answer(request, c)


class SlowAt(Model):
    """Slow at one path from the start; bad: everywhere."""

    path = "/other"

    def answer(self, request, c):
        if request.target.startswith(self.path):
            time.sleep(0.25)
        super().answer(request, c)

    def fail(self, request, c):
        time.sleep(0.25)
        super().answer(request, c)


class GetFails(Model):
    """404 to every GET from the start; bad: to everything."""

    def answer(self, request, c):
        self.json(c, {}, 404 if request.method == "GET" else 200)

    def fail(self, request, c):
        self.json(c, {}, 404)


class Hung(Model):
    def fail(self, request, c):
        time.sleep(1.0)
        self.answer(request, c)


class NeverAnswers(Model):
    def fail(self, request, c):
        c.sock.settimeout(15)
        c.sock.recv(1)  # until it is given up
        c.close_after = True


class Stream(Model):
    """Four pieces, an end mark. `pauses`: before each piece; `end`: what comes behind them."""

    pauses = (0, 0, 0, 0)
    end = FINISH + DONE
    pieces = tuple(openai(text) for text in (b"I", b" am", b" well", b"."))

    def answer(self, request, c):
        self.stream(c, Stream.pauses, Stream.pieces, Stream.end)

    def fail(self, request, c):
        self.stream(c, self.pauses, self.pieces, self.end)

    def stream(self, c, pauses, pieces, end):
        data = STREAM + chunk(ROLE)
        for pause, piece in zip(pauses, pieces):
            if pause:
                c.send(data)
                data = b""
                time.sleep(pause)
            data += chunk(piece)
        c.send(data + (chunk(end) if end else b"") + END)


class HangsBeforeStreams(Stream):
    fail = NeverAnswers.fail


class LateFirstToken(Stream):
    pauses = (0.25, 0, 0, 0)


class LongGap(Stream):
    pauses = (0, 0, 0.25, 0)


class SlowTokens(Stream):
    pauses = (0, 0.1, 0.1, 0.1)


class NoEndMark(Stream):
    end = b""


class NothingSaid(Stream):
    pauses = pieces = ()


class ErrorInside(Stream):
    pieces = Stream.pieces[:2] + (event(b'{"error":{"message":"out of memory"}}'),)


class FallsSilent(Stream):
    def fail(self, request, c):
        c.send(STREAM + chunk(ROLE) + chunk(openai(b"I")))
        c.sock.settimeout(5)
        c.sock.recv(1)  # until it is given up


class SlowJsonBesideStreams(Stream):
    """Streams that take long are none of a criterion of other answers."""

    pauses = (0, 0, 0, 0.25)

    def answer(self, request, c):
        if request.target.startswith("/stream"):
            self.stream(c, self.pauses, self.pieces, self.end)
        else:
            self.json(c, {})

    def fail(self, request, c):
        if not request.target.startswith("/stream"):
            time.sleep(0.25)
        self.answer(request, c)


class CutBesideJson(Stream):
    """Plain answers of 404 are none of a criterion of streams."""

    end = b""

    def __call__(self, request, c):
        if request.target.startswith("/stream"):
            super().__call__(request, c)
        else:
            self.json(c, {})


class LongAnswers(Model):
    def answer(self, request, c, scale=1):
        self.json(c, {"text": "x" * int(scale * self.random.uniform(100, 1000))})

    def fail(self, request, c):
        self.answer(request, c, 3)


class ManyTokens(Model):
    def answer(self, request, c, scale=1):
        tokens = int(scale * self.random.uniform(10, 100))
        self.json(c, {"choices": [{"message": {"content": "."}}],
                      "usage": {"prompt_tokens": 5, "completion_tokens": tokens}})

    def fail(self, request, c):
        self.answer(request, c, 3)


class ManyStreamedTokens(Stream):
    def answer(self, request, c, scale=1):
        usage = b'{"choices":[],"usage":{"completion_tokens":%d}}' % \
            int(scale * self.random.uniform(10, 100))
        self.stream(c, self.pauses, self.pieces, FINISH + event(usage) + DONE)

    def fail(self, request, c):
        self.answer(request, c, 3)


class OtherScores(Model):
    def answer(self, request, c, power=1):
        self.json(c, {"model": "m", "predictions": [{"score": self.random.random() ** power}]})

    def fail(self, request, c):
        self.answer(request, c, 3)


class OtherLabels(Model):
    def answer(self, request, c, labels=("spam", "ham", "ham", "ham")):
        self.json(c, {"label": self.random.choice(labels)})

    def fail(self, request, c):
        self.answer(request, c, ("spam", "spam", "spam", "ham"))


# --- traffic -------------------------------------------------------------------------------------


class Traffic:
    """`rate` requests a second over `clients` connections until it ends. Whoever has waited longer
    than `patience` goes away."""

    def __init__(self, port, targets=(("POST", "/v1/x"),), rate=250, clients=10, patience=10.0,
                 body=b"{}"):
        self.port, self.targets, self.patience, self.body = port, targets, patience, body
        self.interval, self.clients = clients / rate, clients
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True)
                        for i in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        for t in self.threads:
            t.join(15)

    def run(self, index):
        client, number = None, index
        due = time.monotonic() + self.interval * index / self.clients
        while not self.stopping.wait(max(0, due - time.monotonic())):
            due = max(due + self.interval, time.monotonic() - 1)
            method, target = self.targets[number % len(self.targets)]
            number += 1
            try:
                if client is None:
                    client = Client(self.port, timeout=self.patience)
                r = client.request(method, target, body=self.body if method == "POST" else None)
                keep = r.keep_alive()
            except (WireError, OSError, socket.timeout):
                keep = False
            if not keep and client is not None:
                client.close()
                client = None
        if client is not None:
            client.close()


class Case:
    def __init__(self, model, criterion, traffic=None, timeout=60, **keys):
        self.model, self.criterion, self.traffic = model, criterion, traffic or {}
        self.timeout, self.keys = timeout, keys


def share(metric, **more):
    return {"metric": metric, "max": "5%", **more}


def slower_than(metric, limit, **more):
    return {"metric": metric, "quantile": "90%", "max": limit, **more}


BOTH_PATHS = {"targets": (("POST", "/predict"), ("POST", "/other"))}
BOTH_METHODS = {"targets": (("POST", "/v1/x"), ("GET", "/v1/x"))}
BOTH_KINDS = {"targets": (("POST", "/stream"), ("POST", "/json"))}
OPENAI = {"protocol": "openai"}
MUCH = {"rate": 400}  # distributions are learned from a thousand values

CASES = {
    "errors": Case(Errors, share("error_rate"), shield="off"),
    "errors-window": Case(Errors, share("error_rate", method="window", window="1s",
                                        min_requests=10, consecutive=2)),
    "404-to-everything": Case(NotFound, {"metric": "outcome", "is": ["4xx", "429"],
                                         "max_increase": "1%"}),
    "404-ratio": Case(NotFound, {"metric": "outcome", "is": "4xx", "max_ratio": 2}),
    "429": Case(RateLimited, share("outcome", **{"is": "429"})),
    "latency": Case(Slow, slower_than("latency", "120ms")),
    "latency-of-stable": Case(Slow, {"metric": "latency", "quantile": ["50%", "90%"],
                                     "max_ratio": 3}),
    "first-token": Case(LateFirstToken, slower_than("time_to_first_token", "120ms")),
    # Long before it times out: the requests say that they want streams.
    "first-token-never": Case(HangsBeforeStreams, slower_than("time_to_first_token", "300ms"),
                              {"body": b'{"stream":true}', "clients": 40}),
    "gap": Case(LongGap, slower_than("inter_token_gap", "120ms")),
    "per-token": Case(SlowTokens, slower_than("time_per_output_token", "50ms")),
    "truncated": Case(NoEndMark, share("stream_truncation_rate"), **OPENAI),
    "stalled": Case(FallsSilent, share("stream_stall_rate"),
                    upstream={"idle_timeout": "300ms"}, **OPENAI),
    "empty": Case(NothingSaid, share("stream_empty_rate"), **OPENAI),
    "error-inside": Case(ErrorInside, share("stream_error_rate"), **OPENAI),
    "clients-give-up": Case(Hung, {"metric": "client_abort_rate", "max_increase": "5%"},
                            {"patience": 0.4}),
    "response-size": Case(LongAnswers, {"metric": "response_size", "max": 0.2}, MUCH),
    "tokens": Case(ManyTokens, {"metric": "token_usage", "max": 0.2}, MUCH),
    "tokens-of-streams": Case(ManyStreamedTokens, {"metric": "token_usage", "max": 0.2}, MUCH,
                              **OPENAI),
    "drift-of-numbers": Case(OtherScores, {"metric": "drift", "field": "/predictions/0/score",
                                           "test": "ks", "max": 0.2}, MUCH),
    "drift-of-labels": Case(OtherLabels, {"metric": "drift", "field": "/label", "max": 0.2}, MUCH),
    "where-paths": Case(SlowAt, slower_than("latency", "120ms", where={"paths": ["/predict"]}),
                        BOTH_PATHS),
    "where-methods": Case(GetFails, share("outcome", **{"is": "4xx", "where": {"methods": ["POST"]}}),
                          BOTH_METHODS),
    "where-no-stream": Case(SlowJsonBesideStreams,
                            slower_than("latency", "120ms", where={"stream": False}), BOTH_KINDS),
    "where-stream": Case(CutBesideJson, share("error_rate", where={"stream": True}), BOTH_KINDS,
                         **OPENAI),
}


def rollout(backend, case, **criterion):
    models = case.model(1), case.model(2)
    backends = backend("1.0.0", models[0]), backend("2.0.0", models[1])
    keys = {"steps": steps(50, 100, hold="10m"), **case.keys}
    document = policy(
        "chat", *backends, **keys,
        analysis={"burst_guard": GUARD, "hard_down": {"failures": 0}, "warm_up": 0,
                  "criteria": [{**case.criterion, **criterion}]})
    return document, models[1]


def counted(document):
    """Canary requests that the criterion counted. What is compared with stable has none before it
    knows stable, and a distribution none before there are enough of both."""
    c = document["criteria"][0]
    if "shift" not in c:
        return c["requests"]
    distance = c["shift"]["psi" if c["shift"]["test"] == "psi" else "ks"]
    return 0 if distance is None or c["shift"]["stable_values"] < 1300 else c["shift"]["values"]


def starts_well(s, case, enough=ENOUGH):
    s.wait_weight(50, 10)
    document = s.wait_for(lambda d: counted(d) >= enough or d["weight"] != 50, case.timeout)
    assert (document["phase"], document["weight"]) == ("progressing", 50), document


@pytest.mark.parametrize("name", CASES)
def test_a_canary_that_turns_bad_loses_its_traffic(sluice, backend, name):
    case = CASES[name]
    document, canary = rollout(backend, case)
    s = sluice(document)
    with Traffic(s.port, **case.traffic):
        starts_well(s, case)
        canary.bad = True
        document = s.wait_phase("rolled_back", case.timeout)
    assert document["weight"] == 0


def retreating(sluice, backend):
    case = CASES["404-to-everything"]
    document, canary = rollout(backend, case)
    document["analysis"]["burst_guard"]["confirm"] = ["1s", "2s"]
    return sluice(document), case, canary


def test_a_canary_that_stays_bad_is_asked_again_and_then_condemned(sluice, backend):
    s, case, canary = retreating(sluice, backend)
    with Traffic(s.port):
        starts_well(s, case)
        canary.bad = True
        document = s.wait_weight(0, case.timeout)
        assert document["phase"] == "progressing"
        s.wait_for(lambda d: d["weight"] == 50, case.timeout)
        s.wait_phase("rolled_back", case.timeout)


def test_a_canary_that_was_bad_for_a_moment_goes_on(sluice, backend):
    s, case, canary = retreating(sluice, backend)
    with Traffic(s.port):
        starts_well(s, case)
        canary.bad = True
        s.wait_weight(0, case.timeout)
        canary.bad = False
        document = s.wait_for(lambda d: d["weight"] == 50 and d["retreat"] is None, case.timeout)
    assert document["phase"] == "progressing"
    assert s.document()["phase"] == "progressing"


@pytest.mark.parametrize("name", ["404-to-everything", "first-token", "drift-of-labels"])
def test_a_canary_like_stable_keeps_its_traffic(sluice, backend, name):
    """Beyond what others need to be found out."""
    case = CASES[name]
    document, canary = rollout(backend, case)
    s = sluice(document)
    with Traffic(s.port, **case.traffic):
        starts_well(s, case, 600)


def test_on_fail_pause_stops_and_keeps_the_weight(sluice, backend):
    case = CASES["404-to-everything"]
    document, canary = rollout(backend, case, on_fail="pause")
    s = sluice(document)
    with Traffic(s.port):
        starts_well(s, case)
        canary.bad = True
        document = s.wait_phase("paused", case.timeout)
        assert document["weight"] == 50
        time.sleep(1.0)
        assert (s.document()["phase"], s.document()["weight"]) == ("paused", 50)


def test_on_fail_report_says_so_and_moves_nothing(sluice, backend):
    case = CASES["404-to-everything"]
    document, canary = rollout(backend, case, on_fail="report")
    s = sluice(document)
    with Traffic(s.port):
        starts_well(s, case)
        canary.bad = True
        s.wait_for(lambda d: d["criteria"][0]["verdict"] == "fail", case.timeout)
        time.sleep(1.0)
        document = s.document()
    assert (document["phase"], document["weight"]) == ("progressing", 50)


def test_a_pointer_that_never_matches_is_no_data(sluice, backend):
    """Visible with the number of answers that were looked at, and never a pass."""
    case = CASES["drift-of-labels"]
    document, canary = rollout(backend, case, field="/no/such/member")
    s = sluice(document)
    with Traffic(s.port, rate=50):
        s.wait_weight(50, 10)
        document = s.wait_for(lambda d: any("no data" in p for p in d["problems"]), 60)
    c = document["criteria"][0]
    assert (c["verdict"], c["shift"]["values"], c["shift"]["stable_values"]) == ("no_data", 0, 0)
    assert c["shift"]["looked_at"] > 50 and c["shift"]["stable_looked_at"] > 50
    assert re.search(r"\d+ answers were looked at", " ".join(document["problems"]))
    assert (document["phase"], document["weight"]) == ("progressing", 50)


def test_answers_are_asked_for_unencoded_where_they_are_looked_into(sluice, backend):
    case = CASES["drift-of-labels"]
    b = backend("1.0.0", OtherLabels(1))
    analysis = {"criteria": [case.criterion]}
    s = sluice(policy("chat", b, analysis=analysis))
    s.request("POST", "/v1/x", [("Accept-Encoding", "gzip, br")], body=b"{}")
    assert b.requests[-1].header("accept-encoding") in (None, "identity")


def test_the_size_alone_leaves_encodings_alone(sluice, backend):
    b = backend("1.0.0", LongAnswers(1))
    s = sluice(policy("chat", b, analysis={"criteria": [CASES["response-size"].criterion]}))
    s.request("POST", "/v1/x", [("Accept-Encoding", "gzip, br")], body=b"{}")
    assert b.requests[-1].header("accept-encoding") == "gzip, br"


@pytest.mark.parametrize("piece", [1, 100, 100000])
def test_looking_into_answers_changes_none(sluice, backend, piece):
    """The same bytes, whatever the pieces they come in."""
    body = json.dumps({"a": ['\u20ac{["\\'] * 200, "label": "spam", "b": None}).encode()

    def handler(request, c):
        c.send(STREAM.replace(b"text/event-stream", b"application/json"))
        for at in range(0, len(body), piece):
            c.send(chunk(body[at:at + piece]))
        c.send(END)

    b = backend("1.0.0", handler)
    s = sluice(policy("chat", b, analysis={"criteria": [CASES["drift-of-labels"].criterion]}))
    for _ in range(3):
        r = s.request("POST", "/v1/x", body=b"{}")
        assert (r.status, r.body) == (200, body)
    wait_until(lambda: s.attempts() == {"ok": 3}, 5, "counted")
