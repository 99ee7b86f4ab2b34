"""One measurement of one proxy: drive bench-load, read the processes' counters around it."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from processes import CORES, Failed, OTHER_CORES, read_line, start, stop, tail

TICK = os.sysconf("SC_CLK_TCK")
STEAL_MAX = 0.03  # of the cores' time; a round with more is repeated
REPEATS = 2


class Load:
    """bench-load with its connections open: go() measures, and they stay until the block ends."""

    def __init__(self, rig, case, proxy, *more):
        self.log = rig.folder / "load.log"
        self.log.unlink(missing_ok=True)
        self.what = f"{case.name}, {proxy.label}"
        self.timeout = 60
        self.child = start(
            [rig.bin / "bench-load", "--port", proxy.port, *case.arguments(), *more, "--wait"],
            OTHER_CORES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, log=self.log,
        )

    def line(self, timeout):
        try:
            return read_line(self.child, timeout, f"{self.what}: bench-load")
        except Failed as e:
            raise Failed(f"{e}\n{tail(self.log)}".rstrip()) from None

    def __enter__(self):
        try:
            self.line(self.timeout)
        except BaseException:
            self.__exit__()
            raise
        return self

    def go(self, seconds):
        self.child.stdin.write(b"go\n")
        self.child.stdin.flush()
        return json.loads(self.line(seconds + self.timeout))

    def __exit__(self, *_):
        self.child.stdin.close()  # which is what it ends with
        stop([self.child])


def cpu_ns(pids):
    """User and system time of the processes with all their threads, exact to the nanosecond: the
    clock that clock_getcpuclockid() gives (the kernel's CPUCLOCK_SCHED of a process)."""
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def ticks(pids):
    """(user, system) time in ticks: too coarse for a measurement, enough for the two's shares."""
    user = system = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user, system


def waited_ns(pids):
    """How long threads that could have run waited for their core."""
    total = 0
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # a thread that has ended
                total += int(path.read_text().split()[1])
    return total


def steal():
    """Ticks that the host took from the cores."""
    taken = 0
    with open("/proc/stat") as f:
        for line in f:
            match = re.match(r"cpu(\d+) (.*)", line)
            if match and int(match[1]) in CORES:
                taken += int(match[2].split()[7])
    return taken


def measure_cpu(rig, case, proxy, seconds):
    """{us, user, system, rate, p50, p99, failed, busy, waited, steal}. us is processor time per request
    or event, user and system are ticks, busy is how many cores the proxy used, waited how long it
    waited for one, as a share of the time."""
    with Load(rig, case, proxy, "--seconds", str(seconds)) as load:
        split, stolen, began = ticks(proxy.pids), steal(), time.monotonic()
        waited, before = waited_ns(proxy.pids), cpu_ns(proxy.pids)
        report = load.go(seconds)
        used = cpu_ns(proxy.pids) - before
        waited = waited_ns(proxy.pids) - waited
        took = time.monotonic() - began
        user, system = (b - a for a, b in zip(split, ticks(proxy.pids)))
        stolen = (steal() - stolen) / TICK / took / len(CORES)
    if report["requests"] == 0:
        raise Failed(f"{case.name}, {proxy.label}: nothing was answered: {report}")
    return {
        "us": used / 1000 / report["requests"],
        "user": user,
        "system": system,
        "rate": report["requests"] / report["seconds"],
        "p50": report["p50_us"],
        "p99": report["p99_us"],
        "failed": report["failed"],
        "busy": used / 1e9 / took,
        "waited": waited / 1e9 / took,
        "steal": stolen,
    }


def measure_quiet(rig, case, proxy, seconds):
    """measure_cpu, again when the host took too much: (result, times repeated)."""
    for repeated in range(REPEATS + 1):
        result = measure_cpu(rig, case, proxy, seconds)
        if result["steal"] <= STEAL_MAX:
            break
    return result, repeated


# --- memory ----------------------------------------------------------------------------------------


def memory(pids):
    """{Rss, Pss, Pss_Anon} in bytes."""
    total = {"Rss": 0, "Pss": 0, "Pss_Anon": 0}
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                name, _, rest = line.partition(":")
                if name in total:
                    total[name] += int(rest.split()[0]) * 1024
    return total


def measure_connections(rig, case, proxy, seconds):
    """Memory per connection or stream, and CPU time per connection opened (with its first request,
    or first events): a first request alone has brought what the process needs once."""
    count = int(case.load[case.load.index("--connections") + 1])
    with Load(rig, case, proxy, "--connections", "1") as load:
        load.go(0)
    time.sleep(0.2)
    before, cpu = memory(proxy.pids), cpu_ns(proxy.pids)
    with Load(rig, case, proxy, "--seconds", str(seconds)) as load:
        used = cpu_ns(proxy.pids) - cpu
        report = load.go(seconds)
        after = memory(proxy.pids)
    if report["failed"] or report["closed"]:
        raise Failed(f"{case.name}, {proxy.label}: connections broke: {report}")
    return {
        "rss": (after["Rss"] - before["Rss"]) / count,
        "anon": (after["Pss_Anon"] - before["Pss_Anon"]) / count,
        "open_us": used / 1000 / count,
    }


def measure_start(rig, case, proxy, seconds):
    time.sleep(0.5)  # what it does first
    found = memory(proxy.pids)
    return {"rss": found["Rss"], "pss": found["Pss"], "anon": found["Pss_Anon"]}


# --- counts ----------------------------------------------------------------------------------------


def syscalls(rig, case, proxy, seconds):
    """Syscalls per request, by name, as strace counts them. It slows the proxy down, so that there
    are fewer waits than usual; the others are what they are."""
    counts = rig.folder / "strace"
    pids = [argument for pid in proxy.pids for argument in ("-p", pid)]
    with Load(rig, case, proxy, "--seconds", str(seconds)) as load:
        strace = start(["strace", "-c", "-f", "-U", "calls,name", "-o", counts, *pids], OTHER_CORES)
        deadline = time.monotonic() + 5
        while not all(traced(pid) for pid in proxy.pids):
            if time.monotonic() > deadline or strace.poll() is not None:
                raise Failed("strace may not attach here")
            time.sleep(0.01)
        report = load.go(seconds)
        strace.send_signal(signal.SIGINT)
        strace.wait(10)
    rows = re.findall(r"^\s*(\d+) (\w+)$", counts.read_text(), re.MULTILINE)
    return {name: int(calls) / report["requests"] for calls, name in rows if name != "total"}


def traced(pid):
    """Whether every thread has its tracer."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            if re.search(r"^TracerPid:\t0$", f.read(), re.MULTILINE):
                return False
    return True
