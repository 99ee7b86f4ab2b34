"""How exactly 10 % is 10 %: 100,000 requests, in total and for each connection (which stays with one
worker), beside the standard error that independent choices would have."""

import collections
import sys

from setup import Load, Rig, arguments, failures, policy, steps


def main():
    args = arguments(requests=100000, weight=10)

    def make(stable, canary):
        return policy(
            "chat", stable, canary, first={"steps": steps(args.weight, hold="1h")}
        )

    with Rig(make) as rig:
        rig.sluice.wait_weight(args.weight, 20)
        with Load(rig.sluice.port, rate=0, clients=8, count=args.requests) as load:
            results = load.wait(600)
        canary = rig.canary.count
        metrics = rig.sluice.metrics()
    share = args.weight / 100
    bad = len(failures(results))

    def error(n):
        return (share * (1 - share) / n) ** 0.5

    got = canary / len(results)
    print(f"{len(results)} requests at {args.weight} %: {100 * got:.3f} % reached the canary "
          f"(standard error {100 * error(len(results)):.3f}), {bad} failed")
    per = collections.defaultdict(collections.Counter)
    for r in results:
        per[int(r.id.split("-")[1]) % 8][r.version] += 1
    for index in sorted(per):
        n = sum(per[index].values())
        print(f"    connection {index}: {100 * per[index]['2.0.0'] / n:.2f} % of {n} "
              f"(standard error {100 * error(n):.2f})")
    counted = metrics.value("sluice_requests_total", variant="canary")
    print(f"    /metrics says {counted:.0f} canary requests, the backend had {canary}")
    ok = bad == 0 and counted == canary and abs(got - share) < 4 * error(len(results))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
