"""`make bench`: what a request costs in processor time, beside HAProxy, nginx, h2o and a forwarder of
bytes. docs/performance.md explains it.

    run.py --bin build/release --peers build/peers --out build/bench [CASE ...]
    run.py --out build/bench --markdown
"""

import argparse
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import counts
import measure
import processes
import report
from callgrind import Failure as CallgrindFailure
from cases import BY_NAME, CASES
from peers import STARTERS, Rig, versions
from processes import Failed

MEMORY_ROUNDS = 3
WARM_SECONDS = 0.5


def start_proxies(rig, case):
    """Those of the case whose programs are there, in front of new origins."""
    rig.start_origins(case.size, case.addresses)
    return [STARTERS[kind](rig, label, setup) for label, kind, setup in case.variants()
            if rig.program(kind)]


def rounds_of_cpu(rig, case, rounds, seconds):
    """{label: [result of each round]} and how many measurements were repeated."""
    proxies = start_proxies(rig, case)
    results = {proxy.label: [] for proxy in proxies}
    again = 0
    for proxy in proxies:
        measure.measure_cpu(rig, case, proxy, WARM_SECONDS)
    for n in range(rounds):
        # A B C, B C A, ...: nobody is always behind the same one.
        for proxy in proxies[n % len(proxies):] + proxies[:n % len(proxies)]:
            result, repeated = measure.measure_quiet(rig, case, proxy, seconds)
            results[proxy.label].append(result)
            again += repeated
        print(f"  {case.name} {n + 1}/{rounds}: " + "  ".join(
            f"{label} {runs[-1]['us']:.1f}" for label, runs in results.items()), flush=True)
    for proxy in proxies:
        proxy.check()
    return results, again


def rounds_of_memory(rig, case, rounds, seconds):
    """As above; every measurement has a new process."""
    function = {"connections": measure.measure_connections,
                "start": measure.measure_start}[case.measure]
    variants = [v for v in case.variants() if rig.program(v[1])]
    results = {label: [] for label, _, _ in variants}
    rig.start_origins(case.size, case.addresses)
    for n in range(min(rounds, MEMORY_ROUNDS)):
        for label, kind, setup in variants:
            proxy = STARTERS[kind](rig, label, setup)
            results[label].append(function(rig, case, proxy, seconds))
            proxy.stop()
        print(f"  {case.name} {n + 1}: " + "  ".join(
            f"{label} {runs[-1]['anon']:.0f}" for label, runs in results.items()), flush=True)
    return results, 0


def run_case(rig, case, rounds, seconds):
    rig.stop_origins()
    print(f"{case.name}: {case.about}", flush=True)
    try:
        function = rounds_of_cpu if case.measure == "cpu" else rounds_of_memory
        results, again = function(rig, case, rounds, seconds)
        return report.summary(case, results, seconds, again)
    finally:
        processes.stop_all()


def count(rig):
    """System calls of each proxy by strace and instructions of sluice by callgrind, per request."""
    case = BY_NAME["b256"]
    found = {}
    try:
        for proxy in start_proxies(rig, case) if shutil.which("strace") else []:
            measure.measure_cpu(rig, case, proxy, WARM_SECONDS)
            by_syscall = measure.syscalls(rig, case, proxy, 1)
            found[proxy.label] = {"syscalls": sum(by_syscall.values()), "by_syscall": by_syscall}
    except Failed as e:
        print(f"bench: no system calls of the peers: {e}")
    finally:
        processes.stop_all()
    try:
        found.setdefault("sluice", {}).update(counts.count(rig.bin))
    except (CallgrindFailure, OSError) as e:
        print(f"bench: no instructions: {e}")
    return found


def fold(rig):
    """CPU time of the controller's tick for 100 rollouts (tests/bench/fold.c)."""
    done = subprocess.run([rig.bin / "bench-fold"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


APART = ("counts", "fold")  # no comparison of proxies


def run(args, folder):
    rig = Rig(args.bin, args.peers, folder)
    cases = [BY_NAME[name] for name in args.cases if name not in APART] or (
        [] if args.cases else CASES)
    store = report.Store(pathlib.Path(args.out), rig.bin / "sluice", versions(rig))
    missing = [name for name in STARTERS if not rig.program(name)]
    if missing:
        print(f"bench: not there, and left out: {', '.join(missing)}")
    for case in cases:
        done = run_case(rig, case, args.rounds, args.seconds)
        store.put(case.name, done)
        print(report.text(case.name, done), flush=True)
    if not args.cases or "counts" in args.cases:
        store.put_counts(count(rig))
        print(report.counts_text(store.document["counts"]), flush=True)
    if not args.cases or "fold" in args.cases:
        store.put_fold(fold(rig))
        print(report.fold_text(store.document["fold"]), flush=True)
    print(f"bench: written to {args.out}/result.json and result.md")


class Interrupted(BaseException):
    pass


def on_signal(number, _):
    ignore_signals()  # what follows is short, and ends everything
    raise Interrupted(number)


def ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", default="build/release", help="folder of sluice and bench-*")
    parser.add_argument("--peers", default="build/peers", help="folder of unpacked packages")
    parser.add_argument("--out", default="build/bench", help="folder of the results")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    parser.add_argument("--markdown", action="store_true", help="only print the latest results")
    parser.add_argument("cases", nargs="*", metavar="CASE",
                        help="of: " + " ".join([*BY_NAME, *APART]) + "; without any, all")
    args = parser.parse_args()
    unknown = [name for name in args.cases if name not in BY_NAME and name not in APART]
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}")
    if args.markdown:
        print(report.markdown(report.load(pathlib.Path(args.out) / "result.json")))
        return 0
    folder = None
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)
        folder = tempfile.mkdtemp(prefix="sluice-bench-")
        run(args, pathlib.Path(folder))
        return 0
    except Interrupted as e:
        print("bench: interrupted; what was measured so far is kept")
        return 128 + e.args[0]
    except Failed as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    finally:
        ignore_signals()
        processes.stop_all()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
