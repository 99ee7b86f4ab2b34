"""`sluice simulate`: a policy tried before it is used."""

import json
import xml.dom.minidom

import pytest

from sluice import cli

POLICY = """\
rollout: chat
stable: {version: "2.0.0", endpoints: [http://127.0.0.1:9001]}
canary: {version: "2.1.0", endpoints: [http://127.0.0.1:9002]}
steps: [{weight: 10, hold: 1m}, {weight: 100, hold: 1m}]
analysis:
  burst_guard: {slot: 1s, min_bad_slots: 2, confirm: [10s, 20s]}
  criteria:
    - {metric: error_rate, max: 1%, require: no_breach}
    - {metric: latency, quantile: [50%, 99%], max_ratio: 1.3}
"""


@pytest.fixture
def chat(tmp_path):
    path = tmp_path / "chat.yaml"
    path.write_text(POLICY)
    return path


def simulate(*args):
    return cli("simulate", *map(str, args))


def results(*args):
    done = simulate(*args, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_bad_canary_is_reverted_and_a_good_one_promoted(chat):
    bad = results(chat, "--canary", "errors=30%", "-n", 20)["results"][0]
    assert bad["reverted"]["count"] == 20
    assert bad["reverted"]["lower"] < 1 == bad["reverted"]["upper"]
    away, verdict = bad["until_sent_back"], bad["until_reverted"]
    assert 0 < away["seconds"]["median"] < 15
    assert away["seconds"]["median"] + 30 < verdict["seconds"]["median"] < 60
    assert away["failed"]["median"] <= away["requests"]["median"]
    assert bad["seconds_until_promoted"]["median"] is None
    good = results(chat, "-n", 20)["results"][0]
    assert good["promoted"]["count"] == 20
    assert good["seconds_until_promoted"]["median"] == pytest.approx(120, abs=5)


def test_a_seed_says_all_whatever_the_threads(chat):
    def run(seed, jobs):
        return results(chat, "--canary", "shift=2x", "-n", 12, "--seed", seed, "-j", jobs)

    assert run(5, 1) == run(5, 3)
    assert run(5, 1)["results"][0]["digest"] != run(6, 1)["results"][0]["digest"]


def test_other_rules_see_the_same_streams(chat):
    done = results(chat, "--canary", "errors=5%", "-n", 10, "--compare", "argo:20s:0,flagger:20s:2")
    ours, argo, flagger = done["results"]
    assert (argo["rules"], flagger["rules"]) == ("argo:20s:0:1%", "flagger:20s:2:1%")
    assert argo["until_sent_back"]["seconds"]["median"] == pytest.approx(20, abs=0.2)
    # Two failed checks, and the one that sees them.
    assert flagger["until_reverted"]["seconds"]["median"] == pytest.approx(60, abs=0.2)
    table = simulate(chat, "--canary", "errors=5%", "-n", 10, "--compare", "argo:20s:0").stdout
    assert "argo:20s:0:1%" in table and "until traffic was first taken away" in table


def test_a_world_in_a_file_and_a_drawing(chat, tmp_path):
    world, svg = tmp_path / "world.yaml", tmp_path / "out.svg"
    world.write_text("rps: 50\nstable: {latency: 300ms}\ncanary: {errors: 50%}\n")
    done = results(chat, "--world", world, "-n", 5, "--svg", svg)
    assert done["world"]["rps"] == 50
    assert "latency=300ms" in done["world"]["canary"]
    document = xml.dom.minidom.parse(str(svg)).documentElement
    assert document.tagName == "svg"
    said = {t.firstChild.data for t in document.getElementsByTagName("text")}
    assert {"started", "retreated", "rolled_back", "weight of the canary"} <= said


@pytest.mark.parametrize("args, status, said", [
    (["--canary", "erors=5%"], 2, "did you mean errors?"),
    (["--canary", "latency=soon"], 2, "lognormal:MEDIAN:SIGMA"),
    (["--canary", "errors=5%,errors=2%"], 2, "errors is there twice"),
    (["--shared", "swing=50%/20m,swing=10%/20m"], 2, "swing is there twice"),
    (["--from-journal", "x", "--canary", "errors=5%"], 2,
     "--canary does not go with --from-journal"),
    (["--from-journal", "x"], 2, "--rollouts does not go with --from-journal"),
    (["--rps", "0"], 2, "requests per second"),
    (["--rollouts", "0"], 2, "--rollouts takes a number from 1"),
    (["--compare", "spinnaker"], 2, "neither argo nor flagger"),
    (["--world", "/nonexistent"], 2, "/nonexistent"),
    (["--svg", "/nonexistent/a.svg"], 1, "/nonexistent/a.svg"),
])
def test_what_cannot_be_is_said(chat, args, status, said):
    done = simulate(chat, "-n", 1, *args)
    assert done.returncode == status
    assert said in done.stderr


def test_a_bad_policy_and_one_without_canary(chat, tmp_path):
    chat.write_text(POLICY.replace("hold: 1m", "hold: soon", 1))
    done = simulate(chat)
    assert done.returncode == 1 and "chat.yaml:4:" in done.stderr
    chat.write_text("\n".join(line for line in POLICY.split("\n") if "canary:" not in line))
    done = simulate(chat)
    assert done.returncode == 1 and "no rollout has a canary" in done.stderr
