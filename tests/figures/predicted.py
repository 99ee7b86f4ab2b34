"""Is what `sluice simulate` says before a release what then happens? The demo's failing version (a
fifth of its requests fail after a while, asked again twice after short pauses) on real sockets,
beside what the simulation of the same policy predicts. Both count from the onset."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from setup import BIN, Load, Rig, arguments, in_parallel, policy, quantile, spread

RATE, ONSET = 200, 10
ANALYSIS = {"burst_guard": {"confirm": ["2s", "3s"]}}
STEPS = [{"weight": w, "hold": "60s"} for w in (10, 50, 100)]


def demo_policy(stable, canary):
    return policy("classify", stable, canary, first={"steps": STEPS}, analysis=ANALYSIS)


def one_run(seed):
    """(seconds until the traffic was taken away, until the verdict, failures until then)"""
    with Rig(demo_policy, seed=seed) as rig:
        for backend in (rig.stable, rig.canary):
            backend.delay = 0.015
        rig.sluice.wait_weight(10, 20, "classify")
        with Load(rig.sluice.port, rate=RATE, clients=24) as load:
            time.sleep(ONSET)
            assert rig.sluice.document("classify")["weight"] == 10, "sent back while it was well"
            rig.canary.error_rate = 0.2
            began = time.monotonic()
            rig.sluice.wait_weight(0, 120, "classify")
            away = time.monotonic() - began
            rig.sluice.wait_phase("rolled_back", 120, "classify")
            ended = time.monotonic()
            results = load.stop()
    failed = [r for r in results if r.status != 200 and r.at >= began]
    lost = [r for r in failed if r.at < began + away]
    return away, ended - began, len(lost), len(failed)


def predicted(folder, rollouts):
    path = folder / "classify.yaml"
    path.write_text(json.dumps(demo_policy(("1.0.0", ["http://127.0.0.1:9001"]),
                                           ("2.0.0", ["http://127.0.0.1:9002"]))))
    command = [str(BIN / "sluice"), "simulate", str(path), "--rps", str(RATE), "--rollouts",
               str(rollouts), "--seed", "1", "--stable", "latency=15ms", "--canary",
               f"latency=15ms,errors=20%,failures=as-slow,onset={ONSET}s", "--hours", "0.2",
               "-o", "json"]
    print("$", " ".join(command[:2] + [path.name] + command[3:]))
    done = subprocess.run(command, capture_output=True, check=True, timeout=300)
    return json.loads(done.stdout)["results"][0]


def expected(spread_of):
    return f"median {spread_of['median']:.1f}, p95 {spread_of['p95']:.1f}"


def main():
    args = arguments(runs=20, processes=4, rollouts=2000)
    with tempfile.TemporaryDirectory(prefix="sluice-figures-") as folder:
        said = predicted(pathlib.Path(folder), args.rollouts)
    got = in_parallel(one_run, [(seed,) for seed in range(1, args.runs + 1)], args.processes)
    rows = [("seconds until the traffic was taken away", 0, said["until_sent_back"]["seconds"]),
            ("failed requests until then", 2, said["until_sent_back"]["failed"]),
            ("seconds until it was rolled back", 1, said["until_reverted"]["seconds"]),
            ("failed requests until then", 3, said["until_reverted"]["failed"])]
    bad = 0
    for name, index, prediction in rows:
        seen = [g[index] for g in got]
        print(f"{name}:")
        print(f"    predicted: {expected(prediction)}")
        print(f"    observed:  {spread(seen)}")
        # A gross check: whether the two speak of the same thing is for the reader of the figures.
        bad += not prediction["median"] / 2 - 1 <= quantile(seen, 0.5) <= prediction["p95"] + 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
