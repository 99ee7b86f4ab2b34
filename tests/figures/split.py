"""How exactly 10 % is 10 %: 100,000 requests, in total and for each worker, beside the standard
error that independent choices would have."""

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
    even = True
    for worker in range(2):
        of = {v: metrics.value("sluice_worker_dispatched_total", worker=str(worker), variant=v)
              for v in ("stable", "canary")}
        n = sum(of.values())
        if n:
            print(f"    worker {worker}: {100 * of['canary'] / n:.3f} % of {n:.0f} "
                  f"(standard error {100 * error(n):.3f})")
            even = even and abs(of["canary"] / n - share) < 4 * error(n)
    counted = metrics.value("sluice_requests_total", variant="canary")
    print(f"    /metrics says {counted:.0f} canary requests, the backend had {canary}")
    ok = even and bad == 0 and counted == canary and abs(got - share) < 4 * error(len(results))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
