"""What a request costs in counts that no noise touches: user instructions, system calls, allocations.

    python3 tests/bench/counts.py --bin build/release [--functions 25]

The release build runs under callgrind as a user would run it: routing by host and path, a rollout at
20 % that is judged by the default criteria, metrics, timeouts, request ids, the access log with 1 % of
the requests, the controller's tick. What is counted begins once the limits that follow stable are known.
The worker's thread is what is counted per request; the other threads' work goes by time, not by
requests, and is told on its own (`idle`).
"""

import argparse
import contextlib
import json
import pathlib
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from callgrind import CLOCK, Callgrind, Failure, Profile, by_written_function  # noqa: E402
from rounds import Rounds  # noqa: E402

REQUESTS, EVENTS = 14000, 4000
CONNECTIONS = 128  # in lock-step
SLICE = 16  # rounds
# More than that when warming up, so that the pool has a connection to spare for each version
# however the dice of the split fall.
WARM_CONNECTIONS = 208
# What takes memory; free(NULL), which costs nothing, is none of it.
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc")


def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(1024)
    return s


def write_files(folder, listeners):
    def version(name, s):
        return {"version": name, "endpoints": [f"http://127.0.0.1:{s.getsockname()[1]}"]}

    config = {
        "proxy": {
            "listen": [{"address": "127.0.0.1:0"}], "workers": 1,
            "access_log": {"to": str(folder / "access.log"), "sample": "1%"},
        },
        "controller": {"admin": "127.0.0.1:0"},
    }
    # Those of a policy that names none.
    criteria = [
        {"metric": "error_rate", "max": "1%"},
        {"metric": "error_rate", "max_increase": "0.5%"},
        {"metric": "latency", "quantile": ["50%", "90%", "99%"], "max_ratio": 1.3},
        {"metric": "outcome", "is": ["4xx", "429"], "max_increase": "1%"},
    ]
    both = {
        "stable": version("1.0.0", listeners[0]), "canary": version("2.0.0", listeners[1]),
        "steps": [{"weight": 20, "hold": "1h"}],
        "analysis": {"criteria": criteria},
    }
    chat = {"rollout": "chat", **both,
            "match": {"hosts": ["api.example.com"], "paths": ["/v1/chat"]}}
    other = {"rollout": "other", **both, "match": {"paths": ["/v1"]}}
    files = []
    for name, document in ("sluice", config), ("chat", chat), ("other", other):
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(json.dumps(document))
    return files


def logged(callgrind, pattern):
    """The first group of `pattern` in what sluice logs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        callgrind.check()
        found = re.search(pattern, callgrind.log())
        if found:
            return found[1]
        time.sleep(0.02)
    raise Failure(f"sluice does not listen\n{callgrind.log()}")


def follows_stable(admin):
    """Whether requests are held against each limit that follows stable."""
    with urllib.request.urlopen(f"{admin}/v1/rollouts/chat", timeout=60) as answer:
        criteria = json.load(answer)["criteria"]
    relative = [c for c in criteria if c["metric"] == "latency"]
    if len(relative) != 3:
        raise Failure(f"the default criteria have changed: {criteria}")
    return all(c["stable"]["requests"] > 0 for c in relative)


def per(worker, others, units):
    """Profiles as counts per request or event."""
    syscalls = {f: n for f, n in worker.syscalls.items() if n and f not in CLOCK}
    return {
        "instructions": worker.total() / units,
        "others": others.total() / units,
        "syscalls": sum(syscalls.values()) / units,
        "by_syscall": {f: n / units for f, n in sorted(syscalls.items(), key=lambda i: -i[1])},
        "clock_reads": sum(worker.syscalls[f] for f in CLOCK) / units,
        "allocations": sum(worker.calls[f] for f in ALLOCATORS) / units,
        "allocated_by": {f"{caller} {callee}": n / units for (caller, callee), n
                         in worker.pairs.most_common() if callee in ALLOCATORS},
        "by_function": [(f, n / units) for f, n in worker.instructions.most_common() if n],
        "by_text": [(f"{function} in {source}", n / units) for (source, function), n
                    in by_written_function(worker.lines).most_common() if n],
        "calls": {f: n / units for f, n in worker.calls.items()},
    }


class Counted:
    """A sluice under callgrind with clients and an origin. A context manager."""

    def __init__(self, bin_dir, lines=False):
        self.lines = lines
        self.sluice = pathlib.Path(bin_dir).resolve() / "sluice"

    def __enter__(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        with contextlib.ExitStack() as stack:
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-counts-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            listeners = [listener(), listener()]
            files = write_files(self.folder, listeners)
            self.callgrind = Callgrind([self.sluice, "run", *files], self.folder, self.lines)
            stack.callback(self.callgrind.stop)
            port = logged(self.callgrind, r"proxy\.listening address=127\.0\.0\.1:(\d+)")
            admin = logged(self.callgrind, r"admin\.listening url=(\S+)")
            self.rounds = Rounds(int(port), listeners, self.callgrind.process.pid,
                                 WARM_CONNECTIONS)
            stack.callback(self.rounds.close)
            self.await_limits(admin)
            self.callgrind.dump()
            self.rounds.plain("sdk", WARM_CONNECTIONS)
            threads = self.callgrind.dump()  # of these, the one that reads and writes
            self.worker = max(threads, key=lambda t: sum(threads[t].syscalls.values()))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def await_limits(self, admin):
        """Requests until what relative criteria hold requests against is known: it is looked for
        every ten seconds. They are those that are counted, so that as many are above a limit as
        will be then."""
        deadline = time.monotonic() + 60
        while not follows_stable(admin):
            if time.monotonic() > deadline:
                raise Failure("sluice learns no limits from stable")
            self.rounds.plain("plain", CONNECTIONS, SLICE)
            time.sleep(0.5)

    def measured(self):
        """[the worker's profile, that of all the others] since the last time."""
        threads = self.callgrind.dump()
        others = Profile()
        worker = threads.pop(self.worker)
        for profile in threads.values():
            others.add(profile)
        return [worker, others]

    def requests(self, head, number):
        """Counts per request with the fields of HEADS[head]. In slices, because what the pool has
        to spare does not stay for long."""
        slices = max(1, number // (SLICE * CONNECTIONS))
        profiles = [Profile(), Profile()]
        for _ in range(slices):
            self.rounds.plain(head, WARM_CONNECTIONS)
            self.measured()
            self.rounds.plain(head, CONNECTIONS, SLICE)
            for total, profile in zip(profiles, self.measured()):
                total.add(profile)
        return per(*profiles, slices * SLICE * CONNECTIONS)

    def stream(self, number):
        """Counts per event of open streams."""
        rounds = max(1, number // CONNECTIONS)
        streams = self.rounds.open_streams(CONNECTIONS)
        self.rounds.events(streams, 2)
        self.measured()
        self.rounds.events(streams, rounds)
        profiles = self.measured()
        self.rounds.end_streams(streams)
        return per(*profiles, rounds * CONNECTIONS)

    def idle(self, seconds=1.0):
        """What is done without any request, per second under valgrind, where a second does less."""
        self.measured()
        time.sleep(seconds)
        worker, others = self.measured()
        return {"worker": worker.total() / seconds, "others": others.total() / seconds}


def count(bin_dir, requests=REQUESTS, head="plain"):
    """Counts per request: {"instructions", "syscalls", "allocations", "clock_reads", "by_syscall":
    {name: n}, "allocated_by": {"caller callee": n}, "by_function": [(name, instructions)], "calls":
    {name: n}, "others": the instructions of the other threads meanwhile}."""
    with Counted(bin_dir) as counted:
        return counted.requests(head, requests)


def count_sse(bin_dir, events=EVENTS):
    """The same per event of a stream that comes and goes in chunks."""
    with Counted(bin_dir) as counted:
        return counted.stream(events)


def count_all(bin_dir, requests=REQUESTS, events=EVENTS, lines=False):
    """{"plain", "sdk", "sse": as above, "idle": instructions per second}, with one start. With
    `lines`, "by_text" is by the functions of the source, whatever the compiler made of them."""
    with Counted(bin_dir, lines) as counted:
        return {
            "plain": counted.requests("plain", requests),
            "sdk": counted.requests("sdk", requests),
            "sse": counted.stream(events),
            "idle": counted.idle(),
        }


def print_counts(name, c, functions=0):
    calls = ", ".join(f"{f} {n:.3f}" for f, n in c["by_syscall"].items() if n >= 0.0005)
    print(f"{name}, per {'event' if name == 'sse' else 'request'}: {c['instructions']:.0f} "
          f"instructions (and {c['others']:.0f} in other threads), {c['syscalls']:.3f} system calls "
          f"({calls}), {c['clock_reads']:.2f} looks at the clock, {c['allocations']:.3f} "
          f"allocations")
    print_functions(c, functions)


def print_functions(c, number):
    for f, n in c["by_function"][:number]:
        print(f"  {n:9.1f}  {f} ({c['calls'].get(f, 0):.2f} calls)")
    if number:
        print("  allocator: " + (", ".join(f"{f} {n:.3f}" for f, n in c["allocated_by"].items()
                                           if n >= 0.0005) or "never called"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", required=True, help="folder of a release build")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--functions", type=int, default=0, help="list so many of the dearest")
    parser.add_argument("--text", type=int, default=0,
                        help="list so many functions as they are written, inlined or not")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        counts = count_all(args.bin, args.requests, args.events, args.text > 0)
    except KeyboardInterrupt:
        return 130
    except Failure as e:
        print(f"counts: {e}", file=sys.stderr)
        return 1
    if args.json:
        json.dump(counts, sys.stdout, indent=1)
        return 0
    for name in "plain", "sdk", "sse":
        print_counts(name, counts[name], args.functions)
        for f, n in counts[name]["by_text"][:args.text]:
            print(f"  {n:9.1f}  {f}")
    print(f"idle: {counts['idle']['worker']:.0f} instructions per second in the worker, "
          f"{counts['idle']['others']:.0f} in the other threads")
    return 0


if __name__ == "__main__":
    sys.exit(main())
