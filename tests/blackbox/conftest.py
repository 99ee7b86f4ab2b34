"""Fixtures: everything a test starts is stopped when it ends, whatever happened."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from backend import Backend  # noqa: E402
from sluice import Sluice, policy, steps  # noqa: E402


@pytest.fixture
def backend():
    """backend(version, handler, …) starts one more."""
    started = []

    def make(*args, **kw):
        started.append(Backend(*args, **kw))
        return started[-1]

    yield make
    for b in started:
        b.stop()


@pytest.fixture
def sluice(tmp_path, request):
    """sluice(policies, config=…) starts one more; a clean exit is part of every test."""
    started = []

    def make(policies, **kw):
        if isinstance(policies, dict):
            policies = [policies]
        started.append(Sluice(tmp_path / f"sluice{len(started)}", policies, start=False, **kw))
        started[-1].start()
        return started[-1]

    yield make
    failed = getattr(request.node, "failed", False)
    for s in started:
        if failed:
            print(s.log()[-8000:])
    try:
        for s in started:
            s.stop()
    finally:
        for s in started:
            s.kill()


@pytest.fixture
def front(sluice, backend):
    """The simplest set-up: one stable backend behind sluice. front(handler) → (sluice, backend)."""

    def make(handler=None, config=None, read_bodies=True, prefix=(), **keys):
        b = backend("1.0.0", handler, read_bodies=read_bodies)
        return sluice(policy("chat", b, **keys), config=config, prefix=prefix), b

    return make


@pytest.fixture
def pair(sluice, backend):
    """A canary that gets every request and a stable behind it. pair(stable, canary, …) takes the
    backends' handlers → (sluice, stable, canary). Nothing is decided: the weight stays."""

    def make(stable=None, canary=None, config=None, read_bodies=True, workers=1, **keys):
        backends = (backend("1.0.0", stable, read_bodies=read_bodies),
                    backend("2.0.0", canary, read_bodies=read_bodies))
        keys.setdefault("analysis", {"mode": "observe"})
        keys.setdefault("steps", steps(100, hold="1h"))
        s = sluice(policy("chat", *backends, **keys), config=config, workers=workers)
        s.wait_weight(100, 10)
        return s, *backends

    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed = True


def pytest_terminal_summary(terminalreporter):
    """Leaves the counts for `make test`; anything that did not pass counts as failed."""
    path = os.environ.get("SLUICE_RESULT")
    if path:
        stats = terminalreporter.stats
        passed = len(stats.get("passed", []))
        failed = sum(len(stats.get(k, [])) for k in ("failed", "error", "skipped", "xfailed"))
        with open(path, "w") as f:
            f.write(f"{passed} passed, {failed} failed\n")
