"""A million requests of every kind against backends that fail in every scripted way: none lost, none
delivered twice, none answered by another version than the one named, no descriptor left behind, and
memory at the end against memory after the warm-up. The work is storm's (tests/figures/storm)."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from setup import BIN, Sluice, arguments, policy, steps

UPSTREAM = {"connect_timeout": "1s", "first_byte_timeout": "1s", "idle_timeout": "1s",
            "total_timeout": "20s"}


class Storm:
    def __init__(self, connections):
        self.process = subprocess.Popen([BIN / "storm", str(connections)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.ports = [int(p) for p in self.process.stdout.readline().split()[1:]]

    def run(self, count, port):
        self.process.stdin.write(f"run {count} {port}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "storm ended"
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def descriptors(s):
    return len(os.listdir(f"/proc/{s.process.pid}/fd"))


def settled(s):
    """(descriptors, RSS in KiB) when nothing is in flight and idle connections are gone."""
    least = descriptors(s)
    for _ in range(50):
        time.sleep(0.1)
        least = min(least, descriptors(s))
    return least, s.rss_kib()


def main():
    args = arguments(requests=1000000, warmup=100000, connections=96, shield="safe", verbose=0)
    storm = Storm(args.connections)
    folder = tempfile.mkdtemp(prefix="sluice-million-")
    urls = [f"http://127.0.0.1:{p}" for p in storm.ports]
    s = Sluice(folder, [policy(
        "storm", ("1.0.0", urls[:2]), ("2.0.0", urls[2:]), shield=args.shield, upstream=UPSTREAM,
        steps=steps(50, 100, hold="1h"), analysis={"mode": "observe"},
    )])
    try:
        s.wait_weight(50, 20, "storm")
        at_start, _ = settled(s)
        warm = storm.run(args.warmup, s.port)
        after_warmup, warm_rss = settled(s)
        cpu = s.cpu_seconds()
        got = storm.run(args.requests, s.port)
        cpu = s.cpu_seconds() - cpu
        at_end, end_rss = settled(s)
        s.stop()
    finally:
        s.kill()
        storm.stop()
        shutil.rmtree(folder, ignore_errors=True)
    got["corrupted"] += warm["corrupted"]
    if args.verbose:
        print(json.dumps(got, indent=1))
    print(f"{got['requests']} requests in {got['seconds']:.0f} s over {args.connections} connections, "
          f"{cpu:.0f} s of CPU in sluice")
    print(f"    answered well {got['ok']}, with an error {got['errors']}, visibly cut {got['cut']}, "
          f"clients that went away {got['aborted']}")
    print(f"    lost {got['lost'] + got['refused']}, another's answer or wrong bytes "
          f"{got['wrong'] + got['corrupted'] + got['not_http'] + got['mended']}, delivered twice "
          f"{got['duplicated']} (of those that must not be), wrong version {got['wrong_version']}")
    print(f"    failed before the first byte {got['failed_before_first_byte']}, of them saved by a "
          f"second attempt {got['saved']}; not saved though stable could have answered "
          f"{got['unsaved']}; POSTs that met a closing connection {got['raced']}")
    print(f"    descriptors: {at_start} before, {after_warmup} after the warm-up, {at_end} at the end; "
          f"RSS {warm_rss} KiB after the warm-up, {end_rss} KiB at the end")
    return 1 if got["faults"] or warm["faults"] or at_end > after_warmup else 0


if __name__ == "__main__":
    sys.exit(main())
