"""Whole rollouts against the real binary: to promotion, and back to zero on every kind of harm."""

import json
import time

import pytest

from http_wire import wait_until
from load import Load, failures
from sluice import FAST_GUARD, policy, steps

# Short holds; the no-harm evidence before 100 % still takes 376 clean canary requests.
QUICK = steps(10, 25, 50, 100, hold="1s")
ERRORS = [{"metric": "error_rate", "max": "1%"}]


def rollout(stable, canary, analysis=None, **first):
    keys = {"steps": QUICK}
    keys.update(first)
    analysis = {"burst_guard": FAST_GUARD, "criteria": ERRORS, **(analysis or {})}
    return policy("chat", stable, canary, first=keys, analysis=analysis)


@pytest.fixture
def pair(backend):
    return backend("1.0.0"), backend("2.0.0")


def test_healthy_canary_is_promoted_step_by_step(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary))
    weights = []
    with Load(s.port, rate=300) as load:

        def seen(document):
            if document["weight"] > 0 and document["weight"] not in weights[-1:]:
                weights.append(document["weight"])
            return document["phase"] == "promoted"

        document = s.wait_for(seen, 60)
        at = time.monotonic()
        wait_until(lambda: time.monotonic() > at + 0.5, 5, "half a second at promoted")
        after = [r for r in load.stop() if r.at > at]
    assert weights == [10, 25, 50, 100]
    assert not failures(load.results)
    assert document["stable"] == "1.0.0" and document["canary"] == "2.0.0"
    assert document["step"] == document["steps"] == 4
    assert after and all(r.version == "2.0.0" for r in after)


def test_promotion_waits_for_evidence(sluice, pair):
    """Without enough requests at the last step below 100 % the canary does not get everything, and
    the document says what is missing."""
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(50, 100, hold="200ms")))
    with Load(s.port, rate=0, clients=2, count=200) as load:
        load.wait()
    time.sleep(1.0)  # far more than the hold
    document = s.document()
    assert (document["phase"], document["weight"]) == ("progressing", 50)
    assert document["next"], document
    with Load(s.port, rate=500, prefix="more"):
        s.wait_phase("promoted", 20)


@pytest.mark.parametrize("rate", [0.2, 1.0], ids=["20-percent", "all"])
def test_failing_canary_is_taken_back(sluice, pair, rate):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(10, 100, hold="10m")))
    s.wait_weight(10, 10)
    with Load(s.port, rate=400) as load:
        wait_until(lambda: canary.count > 50, 30, "canary traffic")
        assert s.phase() == "progressing"
        canary.error_rate = rate
        document = s.wait_phase("rolled_back", 20)
        assert document["weight"] == 0
        time.sleep(0.3)  # what was in flight
        reached = canary.count
        wait_until(lambda: stable.count and len(load.so_far()) > 0, 5, "traffic goes on")
        time.sleep(0.5)
        assert canary.count == reached, "requests reached the canary after it was taken back"
        results = load.stop()
    bad = failures(results)
    assert all(r.version == "2.0.0" for r in bad), bad[:3]
    assert len(bad) < 200
    assert s.metrics().value("sluice_rollbacks_total") == 1


def test_default_guard_wants_failures_in_several_slots(sluice, pair):
    """Without asking again, a canary that fails altogether is taken back within seconds."""
    stable, canary = pair
    canary.error_rate = 1.0
    s = sluice(policy("chat", stable, canary, analysis={"burst_guard": {"confirm": []}}))
    with Load(s.port, rate=200):
        began = time.monotonic()
        s.wait_phase("rolled_back", 30)
        assert time.monotonic() - began < 15


def test_by_default_a_canary_is_sent_back_at_once_and_asked_again(sluice, pair):
    """With nothing but the defaults users are well again within seconds, and nothing is final."""
    stable, canary = pair
    canary.error_rate = 1.0
    s = sluice(policy("chat", stable, canary))
    with Load(s.port, rate=200):
        began = time.monotonic()
        document = s.wait_for(lambda d: d["retreat"] is not None, 30)
        assert time.monotonic() - began < 15
        assert (document["phase"], document["weight"]) == ("progressing", 0)


def test_canary_that_refuses_connections_is_taken_back(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary))
    canary.down()
    with Load(s.port, rate=200) as load:
        s.wait_phase("rolled_back", 20)
        time.sleep(0.2)
        at = time.monotonic()
        time.sleep(0.5)
        results = load.stop()
    assert not failures([r for r in results if r.at > at])


def test_hard_down_with_little_traffic(sluice, pair):
    """Straight failures take a canary down when there is too little traffic for anything else."""
    stable, canary = pair
    canary.error_rate = 1.0
    s = sluice(
        rollout(
            stable, canary, steps=steps(100, hold="1h"),
            analysis={
                "burst_guard": {"slot": "1s", "min_bad_slots": 3, "confirm": []},
                "hard_down": {"failures": 5, "over": "300ms"},
            },
        )
    )
    s.wait_weight(100, 10)
    with Load(s.port, rate=10, clients=1) as load:
        s.wait_phase("rolled_back", 15)
    assert len(load.results) < 60


def test_slow_canary_is_taken_back(sluice, pair):
    """p99 over its limit: the canary answers everything, but too late."""
    stable, canary = pair
    criteria = [{"metric": "latency", "quantile": "99%", "max": "150ms"}]
    s = sluice(
        rollout(stable, canary, steps=steps(20, 100, hold="10m"), analysis={"criteria": criteria})
    )
    s.wait_weight(20, 10)
    with Load(s.port, rate=150, clients=16) as load:
        wait_until(lambda: canary.count > 30, 30, "canary traffic")
        assert s.phase() == "progressing"
        canary.delay = 0.4
        document = s.wait_phase("rolled_back", 30)
    assert document["weight"] == 0
    assert not failures(load.results)  # nobody got an error


def test_stable_latency_is_not_the_canarys(sluice, pair):
    stable, canary = pair
    stable.delay = 0.3
    criteria = [{"metric": "latency", "quantile": "99%", "max": "150ms"}]
    s = sluice(
        rollout(stable, canary, steps=steps(50, hold="1h"), analysis={"criteria": criteria})
    )
    with Load(s.port, rate=50, clients=16) as load:
        wait_until(lambda: canary.count > 60, 30, "canary traffic")
    assert s.phase() == "progressing"
    assert not failures(load.results)


def test_error_increase_over_stable(sluice, pair):
    stable, canary = pair
    stable.error_rate = 0.05
    canary.error_rate = 0.4
    criteria = [{"metric": "error_rate", "max_increase": "5%"}]
    s = sluice(
        rollout(stable, canary, steps=steps(30, hold="1h"), analysis={"criteria": criteria})
    )
    with Load(s.port, rate=300):
        s.wait_phase("rolled_back", 30)


def test_errors_that_stable_has_too_are_no_increase(sluice, pair):
    stable, canary = pair
    stable.error_rate = canary.error_rate = 0.2
    criteria = [{"metric": "error_rate", "max_increase": "10%"}]
    s = sluice(
        rollout(stable, canary, steps=steps(50, hold="1h"), analysis={"criteria": criteria})
    )
    with Load(s.port, rate=0, clients=4, count=3000) as load:
        load.wait()
    assert s.phase() == "progressing"


def test_client_errors_are_not_errors(sluice, backend):
    """4xx and 429 are answers: error_rate does not count them."""
    stable = backend("1.0.0")
    canary = backend("2.0.0", lambda request, c: c.reply(429 if len(request.body) % 2 else 404))
    s = sluice(rollout(stable, canary, steps=steps(50, hold="1h")))
    with Load(s.port, rate=0, clients=4, count=1000) as load:
        load.wait()
    assert s.phase() == "progressing"


def test_rejected_version_is_not_tried_again_until_retry(sluice, pair):
    stable, canary = pair
    canary.error_rate = 1.0
    s = sluice(rollout(stable, canary))
    with Load(s.port, rate=300):
        s.wait_phase("rolled_back", 20)
        canary.error_rate = 0.0
        time.sleep(0.5)
        assert s.phase() == "rolled_back"
        done = s.cli("retry", "chat", "--reason", "fixed a flag")
        assert done.returncode == 0, done.stderr
        s.wait_phase("promoted", 60)


def test_approval_gate(sluice, pair):
    stable, canary = pair
    gated = steps(10, 50, hold="500ms")
    gated[0]["approval"] = "after"
    s = sluice(rollout(stable, canary, steps=gated))
    with Load(s.port, rate=200):
        s.wait_phase("awaiting_approval", 20)
        time.sleep(1.0)
        document = s.document()
        assert (document["phase"], document["weight"]) == ("awaiting_approval", 10)
        assert s.cli("approve", "chat").returncode == 0
        s.wait_weight(50, 10)


def test_approval_before_the_first_step(sluice, pair):
    stable, canary = pair
    gated = steps(10, hold="1h")
    gated[0]["approval"] = "before"
    s = sluice(rollout(stable, canary, steps=gated))
    s.wait_phase("awaiting_approval", 10)
    assert s.document()["weight"] == 0
    assert s.cli("approve", "chat").returncode == 0
    s.wait_weight(10, 10)


def test_pause_and_resume(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(10, 25, hold="1s")))
    with Load(s.port, rate=200):
        s.wait_weight(10, 10)
        assert s.cli("pause", "chat", "--reason", "lunch").returncode == 0
        time.sleep(2.0)
        document = s.document()
        assert (document["phase"], document["weight"]) == ("paused", 10)
        assert s.cli("resume", "chat").returncode == 0
        s.wait_weight(25, 10)


def test_pause_at_zero(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(50, hold="1h")))
    s.wait_weight(50, 10)
    assert s.cli("pause", "chat", "--weight", "0").returncode == 0
    assert s.document()["weight"] == 0
    before = canary.count
    with Load(s.port, rate=0, clients=2, count=200) as load:
        load.wait()
    assert canary.count == before
    assert s.cli("resume", "chat").returncode == 0
    s.wait_weight(50, 10)


def test_paused_canary_is_still_taken_back(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(50, hold="1h")))
    s.wait_weight(50, 10)
    assert s.cli("pause", "chat").returncode == 0
    canary.error_rate = 1.0
    with Load(s.port, rate=100):
        s.wait_phase("rolled_back", 20)


def test_promote_skips_a_hold_and_full_goes_to_the_end(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(10, 25, 100, hold="1h")))
    s.wait_weight(10, 10)
    assert s.cli("promote", "chat", "--expect-step", "1").returncode == 0
    assert s.document()["weight"] == 25
    stale = s.cli("promote", "chat", "--expect-step", "1")
    assert stale.returncode == 1
    assert s.document()["weight"] == 25
    assert s.cli("promote", "chat", "--full").returncode == 0
    assert s.document()["phase"] == "promoted"
    assert s.request().header("x-sluice-version") == "2.0.0"


def test_rollback_by_command(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(50, hold="1h")))
    s.wait_weight(50, 10)
    assert s.cli("rollback", "chat", "--reason", "INC-1").returncode == 0
    document = s.document()
    assert (document["phase"], document["weight"]) == ("rolled_back", 0)
    for _ in range(20):
        assert s.request().header("x-sluice-version") == "1.0.0"


def test_rollback_of_a_promoted_version(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(50, hold="1h")))
    s.wait_weight(50, 10)
    assert s.cli("promote", "chat", "--full").returncode == 0
    assert s.cli("rollback", "chat").returncode == 0
    assert s.request().header("x-sluice-version") == "1.0.0"


def test_manual_start(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, start="manual"))
    time.sleep(0.5)
    document = s.document()
    assert (document["phase"], document["weight"], document["step"]) == ("pending", 0, 0)
    assert s.cli("promote", "chat").returncode == 0
    s.wait_weight(10, 10)
    assert s.document()["step"] == 1


def test_observe_mode_reports_and_moves_nothing(sluice, pair):
    stable, canary = pair
    canary.error_rate = 0.5
    s = sluice(
        rollout(
            stable, canary, steps=steps(20, 100, hold="500ms"), analysis={"mode": "observe"}
        )
    )
    with Load(s.port, rate=300):
        s.wait_for(
            lambda d: any(c["verdict"] == "fail" for c in d["criteria"]), 20
        )
        time.sleep(1.0)
        document = s.document()
    assert document["weight"] == 20
    assert document["phase"] == "progressing"
    assert "criterion.failed" in s.log()


def test_idle_without_a_canary(sluice, backend):
    s = sluice(policy("chat", backend("1.0.0")))
    document = s.document()
    assert document["phase"] == "idle"
    assert document["weight"] == 0
    assert s.request().status == 200


def test_canary_that_is_stable_is_a_no_op(sluice, pair):
    stable, _ = pair
    s = sluice(policy("chat", stable, ("1.0.0", [stable.url])))
    time.sleep(0.3)
    assert s.document()["weight"] == 0
    assert s.phase() == "idle"


def test_no_traffic_is_no_reason_to_go_on(sluice, pair):
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(10, 25, hold="200ms")))
    time.sleep(1.5)
    assert s.document()["weight"] == 10


def test_min_requests(sluice, pair):
    stable, canary = pair
    wanted = steps(50, 60, hold="100ms")
    wanted[0]["min_requests"] = 100
    s = sluice(rollout(stable, canary, steps=wanted))
    s.wait_weight(50, 10)
    while canary.count < 80:
        s.request("POST", "/v1/x", body=b"{}")
    time.sleep(0.5)
    assert s.document()["weight"] == 50
    with Load(s.port, rate=0, clients=2, count=100) as load:
        load.wait()
    s.wait_weight(60, 10)


def test_two_rollouts_are_judged_apart(sluice, backend):
    good, bad = backend("2.0.0"), backend("2.0.0", seed=2)
    bad.error_rate = 0.5
    analysis = {"burst_guard": FAST_GUARD, "criteria": ERRORS}
    s = sluice(
        [
            policy("good", backend("1.0.0"), good, analysis=analysis,
                   first={"match": {"paths": ["/good/"]}, "steps": steps(50, hold="1h")}),
            policy("bad", backend("1.0.0"), bad, analysis=analysis,
                   first={"match": {"paths": ["/bad/"]}, "steps": steps(50, hold="1h")}),
        ]
    )
    with Load(s.port, rate=100, target="/good/x") as fine, Load(s.port, rate=100, target="/bad/x"):
        s.wait_phase("rolled_back", 20, name="bad")
        assert s.phase("good") == "progressing"
    assert not failures(fine.results)


def test_decision_explains_itself(sluice, pair):
    """The document of a rolled back rollout leads to the evidence it was taken on."""
    stable, canary = pair
    canary.error_rate = 0.5
    s = sluice(rollout(stable, canary, steps=steps(50, hold="1h")))
    with Load(s.port, rate=200):
        s.wait_phase("rolled_back", 20)
    text = json.dumps(s.document())
    assert "error_rate max 1%" in text
    status, decision = s.api("GET", "/v1/decisions/" + last_decision(s.document()))
    assert status == 200
    assert "error_rate max 1%" in json.dumps(decision)
    assert "rollout.rolled_back" in s.log()


def last_decision(document):
    decision = document["decision"]
    return decision if isinstance(decision, str) else decision["id"]


def test_full_rollout_loses_and_doubles_nothing(sluice, pair):
    """20,000 requests on keep-alive connections through a whole rollout: each is answered once, by
    one version, and reached a backend once."""
    stable, canary = pair
    s = sluice(rollout(stable, canary, steps=steps(10, 25, 50, 100, hold="500ms")))
    with Load(s.port, rate=0, clients=8, count=20000) as load:
        results = load.wait(180)
    assert len(results) == 20000
    assert not failures(results), failures(results)[:3]
    s.wait_phase("promoted", 20)
    seen = stable.ids + canary.ids
    assert len(seen) == 20000
    assert set(seen.values()) == {1}
    m = s.metrics()
    assert m.value("sluice_requests_total") == 20000
    assert m.value("sluice_requests_total", variant="canary", outcome="ok") == canary.count
