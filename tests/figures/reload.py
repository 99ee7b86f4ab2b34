"""What a reload costs those who are served meanwhile: 1,000 rollouts, 1,000 requests a second, and the
longest that a request took in two seconds in which nothing happened (the machine's own noise), in which
SIGHUP came (certificates, access log), and SIGUSR2 (new policies, in a new process)."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import setup
from http_wire import Client
from line import Line
from sluice import BIN_DIR, Sluice, free_port


def policies(count, port):
    for i in range(count):
        yield setup.policy(
            f"r{i}", ("1", [f"http://127.0.0.1:{port}"]), ("2", [f"http://127.0.0.2:{port}"]),
            first={"match": {"hosts": [f"r{i}.example.com"]}},
            steps=[{"weight": 20, "hold": "1h"}, {"weight": 100, "hold": "1h"}],
        )


def served(folder, port, rate, event):
    """latency_ms of two seconds of load, with the event within."""
    load = subprocess.Popen([
        BIN_DIR / "traffic", "--url", f"http://127.0.0.1:{port}", "--rate", str(rate),
        "--path", "/health", "--header", "Host: r7.example.com", "--quiet", "--duration", "2s",
        "--connections", "16", "--json", folder / "report.json",
    ])
    time.sleep(0.6)
    event()
    load.wait(30)
    report = json.loads((folder / "report.json").read_text())
    assert report["statuses"] == {"200": report["sent"]} and not report["lost"], report
    return report["latency_ms"]


def idle_connections(port, count):
    """Connections that were used and wait: what is closed when a process is replaced."""
    held = []
    for i in range(count):
        held.append(Client(port))
        held[-1].request("GET", "/health", host=f"r{i % 1000}.example.com")
    return held


def main():
    args = setup.arguments(rollouts=1000, rate=1000, rounds=5, idle=500)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-figures-"))
    port = free_port()
    model = subprocess.Popen(
        [BIN_DIR / "model-server", "--listen", f"0.0.0.0:{port}"], stdout=subprocess.DEVNULL
    )
    s = Sluice(folder, policies(args.rollouts, port), start=False)
    line = None
    try:
        s.start()
        line = Line(s)
        events = {
            "nothing": lambda: None,
            "SIGHUP": lambda: line.signal(signal.SIGHUP),
            "SIGUSR2": line.upgrade,
        }
        seen = {name: [] for name in events}
        for _ in range(args.rounds):
            for name, event in events.items():
                held = idle_connections(s.port, args.idle)
                seen[name].append(served(folder, s.port, args.rate, event))
                for c in held:
                    c.close()
        line.end()
    finally:
        model.terminate()
        if line is not None:
            line.kill()
        s.kill()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{args.rollouts} rollouts, {args.rate} requests/s, {args.idle} idle connections, "
          f"{os.cpu_count()} cores; {args.rounds} rounds of 2 s")
    for name, reports in seen.items():
        longest = [r["max"] for r in reports]
        print(f"{name:8} p50 {setup.quantile([r['p50'] for r in reports], 0.5):.2f} ms, p99 "
              f"{setup.quantile([r['p99'] for r in reports], 0.5):.2f} ms, longest: "
              f"{setup.spread(longest, ' ms', 2)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
