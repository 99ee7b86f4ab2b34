"""`sluice check --rps`: what cannot work with the traffic there is, said before the release."""

import json

import pytest

from http_wire import wait_until
from load import Load
from sluice import cli, policy, steps

HEAD = """\
rollout: chat
stable: {version: "2.0.0", endpoints: [http://127.0.0.1:9001]}
canary: {version: "2.1.0", endpoints: [http://127.0.0.1:9002]}
"""


@pytest.fixture
def write(tmp_path):
    def make(text, name="chat.yaml"):
        path = tmp_path / name
        path.write_text(HEAD + text)
        return path

    return make


def criteria(*items, **analysis):
    return "analysis: " + json.dumps({"criteria": list(items), **analysis}) + "\n"


ERRORS = {"metric": "error_rate", "max": "1%"}

WARNINGS = [
    # too little traffic for what is demanded
    (criteria(ERRORS), ["--rps", "0.05"], 1, "longer than max_hold (6h)"),
    # a hold that never sees its min_requests
    (
        "steps: [{weight: 10, min_requests: 100000}, {weight: 100}]\n" + criteria(ERRORS),
        ["--rps", "20"],
        4,
        "never reaches its min_requests of 100000",
    ),
    # a limit at or under what stable does
    (criteria(ERRORS), ["--stable-errors", "1%"], 4, "stable itself fails 1%"),
    (criteria(ERRORS), ["--rps", "50", "--stable-errors", "0.98%"], 1, "never ends"),
    # criteria that can never fire
    (
        criteria({"metric": "latency", "quantile": "99.9%", "max_ratio": 1.3}),
        ["--rps", "3"],
        4,
        "can never be judged: it needs 2,000 of stable's requests in 10 minutes",
    ),
    (
        criteria({**ERRORS, "method": "window", "window": "10s", "min_requests": 50}),
        ["--rps", "1"],
        4,
        "can never fail: no window has its min_requests of 50, but at most 10",
    ),
    (
        criteria({"metric": "drift", "field": "/score", "max": 0.2}),
        ["--rps", "0.2"],
        4,
        "is not judged before 100%",
    ),
    # and those that need no figure of the traffic
    (
        "steps: [{weight: 100}]\n" + criteria({"metric": "error_rate", "max_increase": "1%"}),
        [],
        5,
        "is never judged: the first step sends everything to the canary",
    ),
    (
        criteria({**ERRORS, "on_fail": "report"}, hard_down={"failures": 0}),
        [],
        4,
        "nothing ever takes this canary back",
    ),
    (criteria(ERRORS, {**ERRORS, "max": "2%"}), [], 4, "never decides"),
    (
        "match: {paths: [/v1/]}\n" + criteria({**ERRORS, "where": {"paths": ["/predict"]}}),
        [],
        5,
        "the criterion sees no request",
    ),
]


@pytest.mark.parametrize("text,options,line,words", WARNINGS)
def test_what_cannot_work_is_a_warning(write, text, options, line, words):
    path = write(text)
    done = cli("check", path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert words in done.stdout
    assert f"{path}:{line}:" in done.stdout
    assert "warning: " in done.stdout and "hint: " in done.stdout


@pytest.mark.parametrize("text,options,line,words", WARNINGS)
def test_strict_fails_for_it(write, text, options, line, words):
    done = cli("check", write(text), *options, "--strict")
    assert done.returncode == 1
    assert words in done.stdout


def test_enough_traffic_has_no_warning(write):
    done = cli("check", write(criteria(ERRORS)), "--rps", "100", "--stable-errors", "0.1%",
               "--strict")
    assert done.returncode == 0, done.stdout
    assert "warning" not in done.stdout
    assert "50%: 10m, its hold" in done.stdout
    assert "376 requests if none is bad, 902 for 95 of 100 canaries" in done.stdout


def test_what_a_ratio_can_find_is_said(write):
    item = {"metric": "latency", "quantile": ["50%", "90%", "99%"], "max_ratio": 1.3}
    done = cli("check", write(criteria(ERRORS, item)), "--rps", "100")
    assert done.returncode == 0, done.stdout
    assert "2x as slow in about 700 requests" in done.stdout
    assert "1.5x as slow in about 15,000 requests" in done.stdout


def test_json_has_the_steps_and_the_warnings(write):
    path = write("steps: [{weight: 10}, {weight: 100}]\n" + criteria(ERRORS))
    done = cli("check", path, "--rps", "0.1", "-o", "json")
    body = json.loads(done.stdout)
    assert done.returncode == 0 and body["ok"] and body["warnings"] == 1
    (traffic,) = body["traffic"]
    first, last = traffic["steps"]
    assert (first["weight"], last["weight"]) == (10, 100)
    assert first["evidence"] and first["evidence_requests_least"] == 376
    assert first["evidence_requests_p95"] == 902
    assert first["passes_seconds"] > first["hold_seconds"] == 600
    assert not last["evidence"]
    assert body["diagnostics"][0]["severity"] == "warning"


@pytest.mark.parametrize("options", [["--rps", "fast"], ["--rps", "0"], ["--rps", "-1"],
                                     ["--stable-errors", "150%"], ["--stable-errors", "few"]])
def test_figures_that_are_none(write, options):
    done = cli("check", write(""), *options)
    assert done.returncode == 2
    assert options[0] in done.stderr


def test_a_running_sluice_knows_how_often_stable_fails(sluice, backend, write):
    stable, canary = backend("1.0.0"), backend("2.0.0")
    stable.error_rate = 0.5
    judged = {"criteria": [{"metric": "error_rate", "max_increase": "40%"}]}
    s = sluice(policy("chat", stable, canary, steps=steps(1, 100, hold="1h"), analysis=judged))
    path = write(criteria(ERRORS))
    s.wait_weight(1, 10)
    early = cli("check", path, "--admin", s.admin)
    assert early.returncode == 0 and "stable itself" not in early.stdout  # too few to say
    with Load(s.port, rate=0, clients=4, count=1300) as load:
        load.wait()
    wait_until(lambda: "stable itself fails" in cli("check", path, "--admin", s.admin).stdout, 10,
               "stable's errors")


def test_nobody_to_ask(write):
    done = cli("check", write(""), "--admin", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
