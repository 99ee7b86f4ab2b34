"""How soon a bad canary is at weight 0: seeded runs at 200 requests a second and a first step of
10 %, from the first canary request that failed (or was slow) to the revert, as clients see it."""

import sys
import time

from setup import Load, Rig, arguments, failures, in_parallel, policy, spread, steps

RATE = 200
LATENCY = [
    {"metric": "error_rate", "max": "1%"},
    {"metric": "latency", "quantile": "99%", "max": "300ms"},
]
FINAL = {"burst_guard": {"confirm": []}}  # condemned at the first crossing
# name: (fault, onset in seconds, analysis keys)
CASES = {
    "20 % fail, from the start": ({"error_rate": 0.2}, 0, FINAL),
    "20 % fail, after 2 minutes": ({"error_rate": 0.2}, 120, FINAL),
    "all fail, from the start": ({"error_rate": 1.0}, 0, FINAL),
    "all fail, after 30 s": ({"error_rate": 1.0}, 30, FINAL),
    "all fail, min_bad_slots 0": ({"error_rate": 1.0}, 0,
                                  {"burst_guard": {"min_bad_slots": 0, "confirm": []}}),
    "5 % over the p99 limit": ({"delay": 0.4, "slow_share": 0.05}, 0,
                               {**FINAL, "criteria": LATENCY}),
    "all over the p99 limit": ({"delay": 0.4}, 0, {**FINAL, "criteria": LATENCY}),
}
LIMIT = 300.0  # seconds after the onset; a run that takes longer is reported as such


def set_fault(backend, fault):
    for key, value in fault.items():
        setattr(backend, key, value)


def one_run(case, seed):
    """(seconds from first harm to weight 0, canary requests since then, failures clients saw)"""
    fault, onset, analysis = CASES[case]

    def make(stable, canary):
        return policy("chat", stable, canary, first={"steps": steps(10, 100, hold="1h")},
                      **({"analysis": analysis} if analysis else {}))

    with Rig(make, seed=seed) as rig:
        rig.sluice.wait_weight(10, 20)
        if not onset:
            set_fault(rig.canary, fault)
        with Load(rig.sluice.port, rate=RATE, clients=24) as load:
            began = time.monotonic()
            if onset:
                time.sleep(onset)
                assert rig.sluice.phase() == "progressing", "reverted a healthy canary"
                set_fault(rig.canary, fault)
                began = time.monotonic()
            try:
                rig.sluice.wait_phase("rolled_back", LIMIT)
            except AssertionError:
                return None
            ended = time.monotonic()
            results = load.stop()
        canary = [r for r in results if r.version == "2.0.0" and r.at >= began]
        harm = [r for r in canary if r.status != 200 or ("delay" in fault and r.seconds > 0.3)]
        first = min(r.at for r in harm)
        return ended - first, len([r for r in canary if r.at >= first]), len(failures(results))


def main():
    args = arguments(runs=20, processes=6, only="")
    bad = 0
    for case in CASES:
        if args.only and args.only not in case:
            continue
        got = in_parallel(one_run, [(case, seed) for seed in range(1, args.runs + 1)], args.processes)
        done = [g for g in got if g is not None]
        bad += len(got) - len(done)
        print(f"{case}: {len(done)} of {len(got)} runs reverted")
        if done:
            print(f"    seconds to weight 0:       {spread([g[0] for g in done], ' s')}")
            print(f"    canary requests till then: {spread([g[1] for g in done], '', 0)}")
            print(f"    failures clients saw:      {spread([g[2] for g in done], '', 0)}")
        sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
