"""What weight changes cost: 200,000 requests through a full rollout, and as many through one that is
taken back. Lost, answered wrongly, delivered twice, or answered by a version that was out."""

import sys
import time

from setup import Load, Rig, arguments, failures, policy, steps


def audit(name, rig, results):
    seen = rig.stable.ids + rig.canary.ids
    lost = [r for r in results if r.error or r.status == 0]
    twice = [i for i, n in seen.items() if n > 1]
    print(f"{name}: {len(results)} requests, {len(lost)} lost or wrong, {len(twice)} delivered twice, "
          f"{len(seen)} reached a backend, {rig.canary.count} of them the canary")
    return not lost and not twice and len(seen) == len(results)


def rollout(requests):
    def make(stable, canary):
        return policy("chat", stable, canary, first={"steps": steps(10, 25, 50, 100, hold="3s")})

    with Rig(make) as rig:
        with Load(rig.sluice.port, rate=0, clients=8, count=requests) as load:
            rig.sluice.wait_weight(100, 120)
            at = time.monotonic()
            results = load.wait(600)
        ok = rig.sluice.phase() == "promoted"
        late = [r for r in results if r.at > at and r.version != "2.0.0"]
        print(f"full rollout: ends {rig.sluice.phase()}, {len(late)} requests sent at 100 % were "
              f"answered by the old version")
        ok = ok and not late
        return audit("full rollout", rig, results) and ok and not failures(results)


def rollback(requests):
    def make(stable, canary):
        return policy("chat", stable, canary, first={"steps": steps(50, 100, hold="1h")})

    with Rig(make) as rig:
        rig.sluice.wait_weight(50, 20)
        with Load(rig.sluice.port, rate=0, clients=8, count=requests) as load:
            time.sleep(5)
            rig.canary.error_rate = 0.2
            rig.sluice.wait_phase("rolled_back", 120)
            at = time.monotonic()
            results = load.wait(600)
        # A request that was sent before the revert may still be answered by the canary.
        after = [r for r in results if r.at > at and r.version == "2.0.0"]
        print(f"rollback: {len(after)} requests sent after it reached the canary, "
              f"{len(failures(results))} failed at clients before it")
        return audit("rollback", rig, results) and not after


def main():
    args = arguments(requests=200000)
    return 0 if all([rollout(args.requests), rollback(args.requests)]) else 1


if __name__ == "__main__":
    sys.exit(main())
