"""Upgrades and reloads under load: requests that failed, connections that were reset."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import setup
from http_wire import fetch, wait_until
from line import Line
from sluice import BIN_DIR, Sluice, free_port


def main():
    args = setup.arguments(rate=2000, upgrades=8)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-figures-"))
    port = free_port()
    model = subprocess.Popen(
        [BIN_DIR / "model-server", "--listen", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL
    )
    s = Sluice(
        folder, [setup.policy("chat", ("1.0.0", [f"http://127.0.0.1:{port}"]))], start=False
    )
    line = None
    try:
        wait_until(lambda: answers(port), 30, "the model server")
        s.start()
        line = Line(s)
        load = subprocess.Popen([
            BIN_DIR / "traffic", "--url", f"http://127.0.0.1:{s.port}", "--rate", str(args.rate),
            "--duration", f"{3 * args.upgrades + 3}s", "--mix", "predict=90,stream=10",
            "--max-tokens", "8", "--json", folder / "report.json", "--quiet",
        ])
        for i in range(args.upgrades):
            time.sleep(2)
            line.rewrite(proxy={"workers": (2, 4, 1, 3)[i % 4]})
            line.signal(signal.SIGHUP)
            line.upgrade()
        load.wait(120)
        report = json.loads((folder / "report.json").read_text())
        line.end()
    finally:
        model.terminate()
        if line is not None:
            line.kill()
        s.kill()
    failed = report["sent"] - report["statuses"].get("200", 0)
    print(
        f"{args.upgrades} upgrades and reloads, {report['rate']:.0f} requests/s: "
        f"{report['sent']} sent, {failed} failed, {report['cut']} cut, {report['lost']} lost, "
        f"{report['connect_failures']} refused, {report['duplicated']} doubled; "
        f"p99 {report['latency_ms']['p99']:.2f} ms, longest {report['latency_ms']['max']:.1f} ms"
    )
    shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def answers(port):
    try:
        return fetch(port, "GET", "/health").status == 200
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
