"""One process under valgrind's callgrind, and what it did since the last look: instructions and system
calls per function and thread, calls per function.

Nothing here needs ptrace, which containers often forbid: callgrind counts the system calls itself, and
vgdb reaches the process through a pipe that valgrind reads (--max-invoke-ms=0 keeps vgdb from trying
more than that). Under valgrind there is no vDSO, so a look at the clock is a system call here and
nowhere else; CLOCK names the functions to leave out.
"""

import collections
import os
import pathlib
import re
import subprocess

# Looks at the clock: system calls only under valgrind.
CLOCK = {"clock_gettime", "gettimeofday", "time"}


class Failure(Exception):
    pass


class Profile:
    """What one thread did: self instructions and system calls by function, calls by callee."""

    def __init__(self):
        self.instructions = collections.Counter()
        self.syscalls = collections.Counter()
        self.calls = collections.Counter()
        self.pairs = collections.Counter()  # calls by (caller, callee)
        self.lines = collections.Counter()  # instructions by (file, line) of the source

    def total(self):
        return sum(self.instructions.values())

    def add(self, other):
        self.instructions.update(other.instructions)
        self.syscalls.update(other.syscalls)
        self.calls.update(other.calls)
        self.pairs.update(other.pairs)
        self.lines.update(other.lines)


def plain_name(name, program):
    """Without what the compiler and the linker add (`.lto_priv.0`, `@@GLIBC_2.2.5`), and without the
    kind of processor that libc chose a function for; one without a name goes by its library. Calls
    of a function by itself (`'2`) are its own."""
    name = re.sub(r"'\d+$", "", name)
    if name.startswith("0x"):
        return f"{os.path.basename(program)}+{int(name, 16):#x}"
    name = re.sub(r"(?:\.(?:lto_priv|constprop|part|isra|cold|\d+))+$|@@?GLIBC.*$|@plt$", "", name)
    return re.sub(r"^__((?:mem|str)\w+?)_(?:avx|sse|evex|erms)\w*$", r"\1", name)


def read_profile(path):
    """A file of callgrind's format, written without compression."""
    profile = Profile()
    function, events, inclusive, program, source = None, [], False, "", ""
    for line in open(path, errors="replace"):
        if line[0].isdigit():
            if inclusive:  # the line after calls=: what the callee cost, which it says itself
                inclusive = False
                continue
            at, *numbers = map(int, line.split())
            values = dict(zip(events, numbers))
            profile.instructions[function] += values.get("Ir", 0)
            profile.lines[source, at] += values.get("Ir", 0)
            profile.syscalls[function] += values.get("sysCount", 0)
        elif line.startswith("ob="):
            program = called_in = line[3:].rstrip()
        elif line.startswith("cob="):
            called_in = line[4:].rstrip()
        elif line.startswith(("fl=", "fi=", "fe=")):
            source = line[3:].rstrip()
        elif line.startswith("fn="):
            function = plain_name(line[3:].rstrip(), program)
        elif line.startswith("cfn="):
            callee = plain_name(line[4:].rstrip(), called_in)
        elif line.startswith("calls="):
            times = int(line[6:].split()[0])
            profile.calls[callee] += times
            profile.pairs[function, callee] += times
            inclusive, called_in = True, program
        elif line.startswith("events:"):
            events = line.split()[1:]
    return profile


def by_written_function(lines):
    """Instructions by the function in whose text they stand, which is not the one that they run in
    where the compiler put one into another. {(file, function): instructions}; code of which the
    source is not at hand stays with its file."""
    texts, found = {}, collections.Counter()
    for (source, at), instructions in lines.items():
        if source not in texts:
            try:
                texts[source] = pathlib.Path(source).read_text(errors="replace").splitlines()
            except OSError:
                texts[source] = []
        name = ""
        for text in reversed(texts[source][:at]):
            heading = re.match(r"[a-z_][\w \t*]*?\b(\w+) ?\(", text)
            if heading and heading[1] != "__attribute__":
                name = heading[1]
                break
        found[os.path.basename(source), name] += instructions
    return found


class Callgrind:
    """A command under callgrind, logging into `folder`."""

    def __init__(self, command, folder, lines=False):
        self.folder = pathlib.Path(folder)
        self.out = self.folder / "callgrind"
        self.prefix = f"--vgdb-prefix={self.folder}/vgdb"
        self.dumps = 0
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.out}",
                 "--separate-threads=yes", "--collect-systime=yes", "--compress-strings=no",
                 "--compress-pos=no", f"--dump-line={'yes' if lines else 'no'}", "--vgdb=yes", "--vgdb-poll=500",
                 self.prefix, *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def check(self):
        if self.process.poll() is not None:
            raise Failure(f"sluice ended with {self.process.returncode}\n{self.log()}")

    def dump(self):
        """What every thread did since the last dump, by thread number."""
        self.dumps += 1
        done = subprocess.run(
            ["vgdb", f"--pid={self.process.pid}", "--max-invoke-ms=0", "--wait=20", self.prefix,
             "dump"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )
        self.check()
        found = {}
        for path in self.folder.glob(f"{self.out.name}.{self.dumps}-*"):
            found[int(path.name.rsplit("-", 1)[1])] = read_profile(path)
            path.unlink()
        if not found:
            raise Failure(f"callgrind wrote nothing\n{done.stdout}{done.stderr}{self.log()}")
        return found

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()  # it may stand still, and nothing of it is needed any more
            self.process.wait()
