"""slowhttptest (the Debian package, unpacked and not installed) in its four modes, and what well-behaved
clients get meanwhile: their success and latency beside those of the quiet time before."""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from setup import BIN, Backend, Model, Sluice, arguments, policy

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build" / "slowhttptest" / "usr" / "bin" / "slowhttptest"
MODES = {
    "slow heads (-H)": ["-H", "-i", "2", "-x", "24"],
    "slow bodies (-B)": ["-B", "-i", "2", "-x", "16", "-s", "8192"],
    "ranges (-R)": ["-R", "-t", "HEAD", "-a", "10", "-b", "3000"],
    "slow readers (-X)": ["-X", "-w", "10", "-y", "20", "-n", "2", "-z", "8"],
}


def well_behaved(s, seconds, report):
    """500 requests a second that know nothing of the rest, in the background."""
    return subprocess.Popen(
        [BIN / "traffic", "--url", f"http://127.0.0.1:{s.port}", "--rate", "500", "--duration",
         f"{seconds}s", "--path", "/predict", "--body", '{"text": "a good day"}', "--quiet", "--json",
         report],
    )


def line(name, report, s):
    got = json.loads(report.read_text())
    good = got["statuses"].get("200", 0)
    latency = got["latency_ms"]
    print(f"    {name:18} {good} of {got['sent']} answered well; median {latency['p50']:.2f} ms, p99 "
          f"{latency['p99']:.2f} ms, longest {latency['max']:.0f} ms; RSS {s.rss_kib()} KiB, "
          f"charged to the version: {s.attempts('big')}", flush=True)
    return good == got["sent"]


def big(request, c):
    c.reply(200, b"x" * (1 << 19))


def main():
    args = arguments(connections=1000, seconds=20)
    subprocess.run([ROOT / "tests/tools/unpack_peers.sh", TOOL.parents[2], "slowhttptest"], check=True)
    if not TOOL.exists():
        print("slowhttptest could not be downloaded")
        return 1
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-slow-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        model = stack.enter_context(Model("1.0.0"))
        victim = Backend("1.0.0", big)
        stack.callback(victim.stop)
        s = Sluice(folder / "run", [
            policy("model", model.version, first={"match": {"paths": ["/predict"]}}),
            policy("big", victim, first={"match": {"paths": ["/big"]}}),
        ])
        stack.callback(s.kill)
        ok = True
        report = folder / "report.json"
        print(f"{args.connections} connections of slowhttptest, 500 requests a second beside them")
        well_behaved(s, 5, report).wait(60)
        ok &= line("nobody", report, s)
        for name, mode in MODES.items():
            good = well_behaved(s, args.seconds, report)
            subprocess.run(
                [TOOL, *mode, "-c", str(args.connections), "-r", str(args.connections // 3), "-l",
                 str(args.seconds), "-p", "5", "-v", "0", "-u", f"http://127.0.0.1:{s.port}/big"],
                timeout=args.seconds + 60, stdout=subprocess.DEVNULL, cwd=folder,
            )
            good.wait(60)
            ok &= line(name, report, s)
        s.stop()
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
