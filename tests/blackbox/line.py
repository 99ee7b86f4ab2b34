"""A line of processes, each of which replaced the one before it."""

import contextlib
import ctypes
import json
import os
import re
import signal

from http_wire import wait_until

PR_SET_CHILD_SUBREAPER = 36


class Line:
    """Follows the upgrades of one Sluice. Orphans become children of the test's process, so that
    their exit status can be asked for."""

    def __init__(self, sluice):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.sluice = sluice
        self.pids = [sluice.process.pid]
        self.statuses = {}

    @property
    def pid(self):
        return self.pids[-1]

    def signal(self, sig):
        os.kill(self.pid, sig)

    def said(self, what):
        return self.sluice.log().count(what)

    def rewrite(self, policies=None, **config):
        """Changes the files for the next process."""
        for key, value in config.items():
            self.sluice.config.setdefault(key, {}).update(value)
        self.sluice.files[0].write_text(json.dumps(self.sluice.config))
        for p in policies or []:
            (self.sluice.folder / f"{p['rollout']}.yaml").write_text(json.dumps(p))

    def upgrade(self, timeout=30.0):
        done = self.said("upgrade.done ")
        self.signal(signal.SIGUSR2)
        wait_until(
            lambda: self.said("upgrade.done ") > done, timeout, f"upgraded\n{self.sluice.log()}"
        )
        self.pids.append(int(re.findall(r"upgrade\.done pid=(\d+)", self.sluice.log())[-1]))

    def fail_to_upgrade(self, timeout=30.0):
        """Returns the log's line."""
        failed = self.said("upgrade.failed ")
        self.signal(signal.SIGUSR2)
        wait_until(
            lambda: self.said("upgrade.failed ") > failed, timeout, f"failed\n{self.sluice.log()}"
        )
        return [line for line in self.sluice.log().splitlines() if "upgrade.failed " in line][-1]

    def ended(self, pid):
        """Its exit status once it has ended, else None."""
        if pid == self.pids[0]:
            return self.sluice.process.poll() if self.sluice.process else 0
        if pid not in self.statuses:
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                # Its parent is still there, and looks after it; it says so if the end was bad.
                if os.path.exists(f"/proc/{pid}"):
                    return None
                bad = f"upgrade.successor_ended pid={pid} " in self.sluice.log()
                self.statuses[pid] = 1 if bad else 0
                return self.statuses[pid]
            if found:
                self.statuses[pid] = os.waitstatus_to_exitcode(status)
        return self.statuses.get(pid)

    def wait_end(self, pid, timeout=40.0):
        wait_until(
            lambda: self.ended(pid) is not None, timeout, f"end of {pid}\n{self.sluice.log()}"
        )
        return self.ended(pid)

    def end(self):
        """Ends the last one; every process of the line must have ended well."""
        if self.ended(self.pid) is None:
            self.signal(signal.SIGTERM)
        for pid in self.pids:
            status = self.wait_end(pid)
            assert status == 0, f"{pid} ended with {status}\n{self.sluice.log()}"
        assert not re.search("Sanitizer|runtime error:", self.sluice.log()), self.sluice.log()

    def kill(self):
        """Whatever is left, also of an upgrade that a failed test did not follow."""
        started = re.findall(r"upgrade\.started .*pid=(\d+)", self.sluice.log())
        for pid in {*self.pids, *map(int, started)}:
            if self.ended(pid) is None and os.path.exists(f"/proc/{pid}"):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


@contextlib.contextmanager
def all_end_well():
    """A list for lines: each must end well in the end, and nothing is left of any."""
    lines = []
    try:
        yield lines
        for each in lines:
            each.end()
    finally:
        for each in lines:
            each.kill()
