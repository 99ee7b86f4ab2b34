"""What the figure scripts share: the black-box tests' helpers, and small statistics."""

import argparse
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from backend import Backend  # noqa: E402
from load import Load, failures  # noqa: E402
from sluice import Sluice, policy, steps  # noqa: E402

__all__ = ["BIN", "Backend", "Load", "Model", "Rig", "Sluice", "arguments", "failures",
           "in_parallel", "policy", "quantile", "spread", "steps"]


# Where sluice, model-server, traffic and storm are.
BIN = pathlib.Path(
    os.environ.get("SLUICE_BIN_DIR", pathlib.Path(__file__).resolve().parents[2] / "build/release")
).resolve()


class Model:
    """One model-server; `version` is what policy() takes."""

    def __init__(self, version):
        self.process = subprocess.Popen(
            [BIN / "model-server", "--listen", "127.0.0.1:0", "--version", version],
            stdout=subprocess.PIPE, text=True,
        )
        address = self.process.stdout.readline().split()[1]
        self.version = (version, [f"http://{address}"])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


class Rig:
    """A stable and a canary backend behind one sluice; everything ends with the block."""

    def __init__(self, make_policy, workers=2, seed=1):
        self.folder = tempfile.mkdtemp(prefix="sluice-figures-")
        self.stable = Backend("1.0.0", seed=seed * 2)
        self.canary = Backend("2.0.0", seed=seed * 2 + 1)
        self.sluice = Sluice(
            self.folder, [make_policy(self.stable, self.canary)], workers=workers, start=False
        )

    def __enter__(self):
        self.sluice.start()
        return self

    def __exit__(self, kind, *exc):
        try:
            if kind is None:
                self.sluice.stop()
        finally:
            self.sluice.kill()
            self.stable.stop()
            self.canary.stop()
            shutil.rmtree(self.folder, ignore_errors=True)


def in_parallel(function, jobs, processes):
    """[function(*job)] with a process for each job, so many at a time."""
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        return pool.starmap(function, jobs, chunksize=1)


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def spread(values, unit="", digits=1):
    return (
        f"median {quantile(values, 0.5):.{digits}f}{unit}, p95 {quantile(values, 0.95):.{digits}f}"
        f"{unit}, {min(values):.{digits}f} to {max(values):.{digits}f}{unit}"
    )


def arguments(**defaults):
    """--runs, --processes and whatever else has a default."""
    parser = argparse.ArgumentParser()
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser.parse_args()


os.environ.setdefault("SLUICE_LOG", "info")
