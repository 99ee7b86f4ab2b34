"""Why a decision fell: explain, history, and a journal that takes the same decisions again."""

import json
import pathlib
import subprocess

import pytest

from http_wire import wait_until
from load import Load
from sluice import FAST_GUARD, SLUICE, policy, steps

ERRORS = [{"metric": "error_rate", "max": "1%"}]


def cli(s, *args, ok=0):
    """What a command prints, given that it exits with `ok`."""
    done = subprocess.run([SLUICE, *args], capture_output=True, timeout=30,
                          env={"SLUICE_ADMIN": s.admin, "NO_COLOR": "1", "USER": "ann"})
    assert done.returncode == ok, (args, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def journal(s, tmp_path, name="chat"):
    path = tmp_path / f"{name}.journal"
    cli(s, "journal", name, "--to", path)
    return path


@pytest.fixture
def failing(sluice, backend):
    """A rollout whose canary began to fail and was taken back; (sluice, stable, canary, document)."""
    stable, canary = backend("1.0.0"), backend("2.0.0")
    s = sluice(policy("chat", stable, canary,
                      first={"steps": steps(50, 100, hold="10m")},
                      analysis={"burst_guard": FAST_GUARD, "criteria": ERRORS}))
    s.wait_weight(50, 10)
    with Load(s.port, rate=300):
        wait_until(lambda: canary.count > 300, 30, "two seconds of canary traffic")
        cli(s, "pause", "chat", "--reason", "a look at it")
        cli(s, "resume", "chat")
        canary.error_rate = 0.5
        document = s.wait_phase("rolled_back", 30)
    return s, stable, canary, document


def test_journal_replays_to_the_same_decisions(failing, tmp_path):
    s = failing[0]
    path = journal(s, tmp_path)
    out = cli(s, "replay", path).decode()
    lines = out.splitlines()
    assert lines[-1].endswith("the same bit for bit"), out
    assert all(line.endswith("  same") for line in lines[:-1]), out
    for event in ("rollout.started", "rollout.paused", "rollout.resumed", "rollout.rolled_back"):
        assert any(event in line for line in lines), out
    result = json.loads(cli(s, "replay", path, "-o", "json"))
    assert result["same"] and result["whole"] and result["looks_compared"]
    assert result["looks"] > 4 and result["decisions_replayed"] == len(result["decisions"])
    assert cli(s, "journal", "chat")[:17] == b"sluice journal 1\n"


def test_journal_needs_nobody_else(failing, tmp_path):
    """Offline, elsewhere, and without the policy's files."""
    path = journal(failing[0], tmp_path)
    failing[0].stop()
    done = subprocess.run([SLUICE, "replay", "-"], stdin=open(path, "rb"), capture_output=True,
                          cwd="/", timeout=30)
    assert done.returncode == 0, done
    assert done.stdout.endswith(b"the same bit for bit\n")


def test_damage_is_said(failing, tmp_path):
    path = journal(failing[0], tmp_path)
    whole = path.read_bytes()
    bad = tmp_path / "bad.journal"

    middle = len(whole) // 2
    bad.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:])
    out = cli(failing[0], "replay", bad, ok=1).decode()
    assert "damaged at byte" in out and "checksum" in out, out

    bad.write_bytes(whole[: len(whole) * 3 // 4])
    out = cli(failing[0], "replay", bad, ok=1).decode()
    assert "the file ends within a record" in out, out
    assert "the same bit for bit, as far as the file is whole" in out, out

    bad.write_bytes(b"rollout: chat\n")
    done = subprocess.run([SLUICE, "replay", bad], capture_output=True, timeout=30)
    assert done.returncode == 1 and b"this is no journal" in done.stderr


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "little")


def records(data):
    """(offset, kind, end of the payload) of each record."""
    at = len(b"sluice journal 1\n")
    while at < len(data):
        kind, n, shift, p = data[at], 0, 0, at + 1
        while True:
            n |= (data[p] & 0x7F) << shift
            shift += 7
            p += 1
            if data[p - 1] < 0x80:
                break
        yield at, kind, p + n
        at = p + n + 4


def test_another_decision_is_shown(failing, tmp_path):
    """A journal that claims another decision, with sound checksums: the first difference."""
    path = journal(failing[0], tmp_path)
    data = path.read_bytes()
    at, _, end = [r for r in records(data) if r[1] == 4][-1]
    record = data[at:end].replace(b'"event":"rollout.rolled_back"', b'"event":"rollout.rolled_BACK"')
    assert record != data[at:end]
    forged = tmp_path / "forged.journal"
    forged.write_bytes(data[:at] + record + crc32c(record) + data[end + 4:])
    out = cli(failing[0], "replay", forged, ok=1).decode()
    assert "the first difference is in chat-" in out, out
    assert "event" in out and "rolled_BACK" in out and "rollout.rolled_back" in out, out
    assert out.strip().endswith("not the same")
    result = json.loads(cli(failing[0], "replay", forged, "-o", "json", ok=1))
    assert result["difference"]["field"] == "event"


def test_explain_says_why(failing):
    """By the rollout's name: criterion, kinds, ids that the backend really saw, what to do."""
    s, _, canary, document = failing
    seen = {r.header("x-request-id") for r in canary.requests}
    d = json.loads(cli(s, "explain", "chat", "-o", "json"))
    assert d["type"] == "rollout.rolled_back" and d["id"] == document["decision"]["id"]
    assert d["criterion"] == "error_rate max 1%"
    basis = d["basis"]
    slots = basis["slots"]
    assert slots["criterion"] == "error_rate max 1%" and slots["limit"] == 0.01
    assert slots["bad"] >= 2 and slots["list"] and slots["added"] > 5
    assert sum(one["bad"] for one in slots["list"]) <= slots["bad"]
    assert slots["bad"] <= d["criteria"][0]["bad"]
    assert basis["kinds"]["step"]["5xx"] >= slots["bad"]
    assert basis["kinds"]["since_failure"]["5xx"] == basis["kinds"]["step"]["5xx"]
    assert basis["kinds"]["since_failure"].get("ok", 0) < basis["kinds"]["step"]["ok"]
    assert 1 <= len(basis["examples"]) <= 3
    for example in basis["examples"]:
        assert example["id"] in seen, (example, sorted(seen)[:5])
        assert example["kind"] == "5xx" and "error_rate max 1%" in example["criteria"]
        assert example["endpoint"] == f"127.0.0.1:{canary.port}"
    assert [p["weight"] for p in basis["points"]][:2] == [0, 50] or basis["points"][0]["weight"] == 50
    assert sum(p["canary"]["errors"] for p in basis["points"]) >= slots["bad"]
    assert [b["type"] for b in basis["before"]] == [
        "rollout.started", "rollout.paused", "rollout.resumed"]
    assert basis["serving"] == {"version": "1.0.0", "weight": 100}
    assert basis["override"]["command"] == "sluice retry chat"

    text = cli(s, "explain", d["id"]).decode()
    for part in ("error_rate max 1%", "sluice retry chat", "1.0.0", "5xx", basis["examples"][0]["id"],
                 "rollout.paused", "a look at it", "now rolled_back"):
        assert part in text, (part, text)


def test_explain_of_a_command_and_of_what_has_passed(failing):
    s = failing[0]
    paused = [d for d in json.loads(cli(s, "history", "chat", "-o", "json"))["decisions"]
              if d["type"] == "rollout.paused"][0]
    assert (paused["who"], paused["why"]) == ("ann", "a look at it")
    text = cli(s, "explain", paused["id"]).decode()
    assert "pause by ann: a look at it" in text
    assert "sluice resume chat" in text and "the rollout has moved on" in text


def test_history_lists_decisions_newest_first(failing):
    s = failing[0]
    listed = json.loads(cli(s, "history", "-o", "json"))["decisions"]
    assert [d["type"] for d in listed] == [
        "rollout.rolled_back", "rollout.resumed", "rollout.paused", "rollout.started"]
    assert len(json.loads(cli(s, "history", "-n", "2", "-o", "json"))["decisions"]) == 2
    text = cli(s, "history", "chat").decode().splitlines()
    assert "rollout.rolled_back" in text[1] and "rollout.started" in text[-1]


def test_what_is_not_there_is_said(failing):
    s = failing[0]

    def error(*args, code=1):
        done = subprocess.run([SLUICE, *args], capture_output=True, timeout=30,
                              env={"SLUICE_ADMIN": s.admin})
        assert done.returncode == code, done
        return done.stderr.decode()

    assert "neither a decision nor a rollout \"chta\"" in error("explain", "chta")
    assert "Known: chat" in error("history", "chta")
    assert "Known: chat" in error("journal", "chta")
    assert "1 to 1000" in error("history", "-n", "0", code=2)
    status, problem = s.api("GET", "/v1/decisions?limit=x")
    assert status == 400 and problem["type"].endswith(":limit")
    assert "cannot read" in error("replay", "/nonexistent")


def test_events_and_documents_stay_small(failing):
    """What explain shows is kept with the decision, and nowhere else."""
    s, _, _, document = failing
    assert "basis" not in document["decision"]
    assert "basis" in s.api("GET", f"/v1/decisions/{document['decision']['id']}")[1]



def test_another_policy_is_tried_on_what_was_seen(failing, tmp_path):
    """A laxer one goes on where the recorded one took the canary back, and a metric that nobody
    counted is named."""
    s, stable, canary, _ = failing
    path = journal(s, tmp_path)
    same, laxer = tmp_path / "same.yaml", tmp_path / "laxer.yaml"
    for file, limit in ((same, "1%"), (laxer, "49%")):
        file.write_text(json.dumps(policy(
            "chat", stable, canary, first={"steps": steps(50, 100, hold="10m")},
            analysis={"burst_guard": FAST_GUARD, "hard_down": {"failures": 0},
                      "criteria": [{"metric": "error_rate", "max": limit},
                                   {"metric": "latency", "quantile": "99%", "max": "30s",
                                    "on_fail": "report"}]})))
    result = json.loads(cli(s, "simulate", same, "--from-journal", path, "-o", "json"))
    assert result["same"] and result["parts"] is None and result["canary_requests"] > 100
    assert result["criteria_without_counts"] == ["latency p99 max 30s"]
    assert [d["recorded"]["type"] for d in result["decisions"] if d["recorded"]] == \
        [d["this_policy"]["type"] for d in result["decisions"] if d["this_policy"]]

    result = json.loads(cli(s, "simulate", laxer, "--from-journal", path, "-o", "json"))
    assert not result["same"]
    assert result["parts"]["recorded"]["type"] == "rollout.rolled_back"
    assert result["parts"]["this_policy"] is None
    text = cli(s, "simulate", laxer, "--from-journal", path).decode()
    assert "here the two part" in text and "nobody knows" in text
    assert "; this policy: " in text
    assert 'not tried: "latency p99 max 30s"' in text

    done = subprocess.run([SLUICE, "simulate", laxer, "--from-journal", laxer],
                          capture_output=True, timeout=30)
    assert done.returncode == 1 and b"no journal" in done.stderr, done
