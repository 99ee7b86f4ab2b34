"""Runs every figure script, one after the other (each is parallel or saturating by itself)."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def main():
    status = 0
    for name in ("split.py", "lossless.py", "million.py", "memory.py", "sse.py", "upgrade.py",
                 "reload.py", "slowhttptest.py", "detection.py", "predicted.py"):
        print(f"== {name}", flush=True)
        try:
            done = subprocess.run([sys.executable, HERE / name], timeout=3600)
            status = status or done.returncode
        except subprocess.TimeoutExpired:
            print(f"{name} took longer than an hour")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
