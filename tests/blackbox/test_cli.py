"""The command line: what it prints, on which stream, and its exit codes."""

import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from load import Load
from sluice import FAST_GUARD, ROOT, SLUICE, cli, free_port, policy, steps

GOOD = """\
rollout: chat
stable: {version: "2.0.0", endpoints: [http://127.0.0.1:9001]}
canary: {version: "2.1.0", endpoints: [http://127.0.0.1:9002]}
"""


@pytest.fixture
def write(tmp_path):
    def make(text, name="chat.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


@pytest.fixture
def running(sluice, backend):
    stable, canary = backend("1.0.0"), backend("2.0.0")
    s = sluice(
        policy("chat", stable, canary, first={"steps": steps(50, 100, hold="1s")},
               analysis={"burst_guard": FAST_GUARD,
                         "criteria": [{"metric": "error_rate", "max": "1%"}]})
    )
    s.canary = canary
    s.wait_weight(50, 10)
    return s


# --- check ---


def test_check_says_ok(write):
    done = cli("check", write(GOOD))
    assert done.returncode == 0, done.stderr
    assert "chat" in done.stdout


@pytest.mark.parametrize(
    "text,line,words",
    [
        (GOOD.replace("stable:", "stabel:"), 2, ["stabel", "stable"]),
        (GOOD.replace("http://127.0.0.1:9002", "ftp://x"), 3, ["http"]),
        (GOOD + "steps: [{weight: 50}, {weight: 25}]\n", 4, ["25"]),
        (GOOD + "steps: [{weight: 10, hold: 5 parsecs}]\n", 4, ["parsecs"]),
        (GOOD + "analysis: {max_false_revert: 200%}\n", 4, ["200"]),
        (GOOD + "mirror: {percent: 5}\n", 4, ["not supported yet"]),
        (GOOD + "upstream: {protocol: http2}\n", 4, ["not supported yet"]),
        (GOOD + "analysis: {criteria: [{metric: backend, max: 2}]}\n", 4, ["not supported yet"]),
        (GOOD.replace("rollout: chat", "rollout: Chat_1"), 1, ["Chat_1"]),
        ('rollout: chat\ncanary: {version: "1", endpoints: [http://a:1]}\n', 1, ["stable"]),
        (GOOD.replace("{version", "{version: [", 1), 2, []),
    ],
)
def test_check_names_the_place_and_the_fix(write, text, line, words):
    path = write(text)
    done = cli("check", path)
    out = done.stdout + done.stderr
    assert done.returncode == 1, out
    assert f"{path}:{line}:" in out, out
    for word in words:
        assert word in out, out


def test_check_takes_the_examples():
    for path in sorted(ROOT.glob("examples/*/*.yaml")):
        done = cli("check", path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_check_reports_every_error(write):
    text = GOOD.replace("stable:", "stabel:") + "steps: [{weight: 500}]\nmirrro: 1\n"
    done = cli("check", write(text))
    out = done.stdout + done.stderr
    assert done.returncode == 1
    for line in (2, 4, 5):
        assert f":{line}:" in out, out


def test_check_across_files(write):
    a, b = write(GOOD, "a.yaml"), write(GOOD, "b.yaml")
    done = cli("check", a, b)
    assert done.returncode == 1
    assert "chat" in done.stdout + done.stderr


def test_check_of_a_file_that_is_not_there(tmp_path):
    done = cli("check", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "none.yaml" in done.stderr + done.stdout


def test_a_folder_without_policies(tmp_path):
    for command in ("check", "run"):
        done = cli(command, tmp_path)
        assert done.returncode == 1
        assert "neither a policy nor a configuration" in done.stdout + done.stderr
        assert ": ok" not in done.stdout


def test_check_says_one_line_per_rollout(write):
    text = "---\n".join(
        GOOD.replace("chat", f"chat-{i}") + f"match: {{paths: [/c{i}]}}\n" for i in range(16)
    )
    done = cli("check", write(text))
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) >= 16
    assert max(map(len, done.stdout.splitlines())) < 200


def test_run_refuses_what_check_refuses(write):
    done = cli("run", write(GOOD.replace("stable:", "stabel:")))
    assert done.returncode == 1
    assert "chat.yaml:2:" in done.stderr, done.stderr


# --- usage ---


@pytest.mark.parametrize(
    "args",
    [["nonsense"], ["status", "--nonsense"], ["promote"],
     ["wait", "chat", "--for", "nirvana"], ["check"],
     ["status", "a", "b"], ["status", "-o", "xml"],
     ["list", "--admin", "http://127.0.0.1:99999"], ["list", "--admin", "https://x"],
     ["list", "--admin", "http://127.0.0.1:0"], ["list", "--admin", "127.0.0.1:9900"],
     ["promote", "chat", "--expect-step", "x"]],
)
def test_bad_usage_is_2(args):
    done = cli(*args)
    assert done.returncode == 2, done.stderr
    assert args[0] in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    "command",
    ["run", "check", "list", "status", "wait", "promote", "pause", "resume", "approve", "rollback",
     "retry", "version"],
)
def test_every_command_has_help_with_an_example(command):
    done = cli(command, "--help")
    assert done.returncode == 0
    assert f"sluice {command}" in done.stdout
    assert "example" in done.stdout.lower()
    assert not done.stderr


def test_help_lists_the_commands():
    done = cli("--help")
    assert done.returncode == 0
    for command in ("run", "check", "status", "promote", "rollback"):
        assert command in done.stdout


def test_version():
    done = cli("version")
    assert done.returncode == 0
    assert done.stdout.startswith("sluice ")
    assert json.loads(cli("version", "-o", "json").stdout)["version"] in done.stdout


# --- a running sluice ---


def test_nobody_there():
    port = free_port()
    for args in (["list"], ["status"], ["promote", "chat"]):
        done = cli(*args, "--admin", f"http://127.0.0.1:{port}")
        assert done.returncode == 1
        assert f"127.0.0.1:{port}" in done.stderr
        assert not done.stdout


def test_list(running):
    done = running.cli("list")
    assert done.returncode == 0
    for word in ("chat", "progressing", "50%", "2.0.0"):
        assert word in done.stdout, done.stdout
    assert "\x1b" not in done.stdout
    document = json.loads(running.cli("list", "-o", "json").stdout)
    assert "chat" in json.dumps(document)


def test_status_for_people(running):
    with Load(running.port, rate=0, clients=2, count=60) as load:
        load.wait()
    done = running.cli("status", "chat")
    assert done.returncode == 0
    for word in ("chat", "progressing", "50%", "1.0.0", "2.0.0", "error_rate max 1%"):
        assert word in done.stdout, done.stdout
    assert "\x1b" not in done.stdout


def test_status_json_is_the_document(running):
    printed = json.loads(running.cli("status", "chat", "-o", "json").stdout)
    document = running.document()
    for key in ("rollout", "phase", "step", "steps", "weight", "stable", "canary", "frozen",
                "problems"):
        assert printed[key] == document[key]


def test_unknown_rollout(running):
    for command in ("status", "promote", "pause", "retry"):
        done = running.cli(command, "nope")
        assert done.returncode == 1
        assert "nope" in done.stderr
        assert "chat" in done.stderr, "the names that exist are listed"


def test_refused_verb_says_why(running):
    done = running.cli("approve", "chat")
    assert done.returncode == 1
    assert done.stderr and not done.stdout


def test_wait_for_promotion(running):
    with Load(running.port, rate=300):
        done = running.cli("wait", "chat", "--for", "promoted", "--timeout", "60s")
    assert done.returncode == 0, done.stderr
    assert running.phase() == "promoted"


def test_wait_sees_a_rollback(running):
    running.canary.error_rate = 1.0
    with Load(running.port, rate=300):
        done = running.cli("wait", "chat", "--for", "promoted", "--timeout", "60s")
    assert done.returncode == 1
    assert "chat" in done.stderr + done.stdout


def test_wait_times_out(running):
    began = time.monotonic()
    done = running.cli("wait", "chat", "--for", "promoted", "--timeout", "1s")
    assert done.returncode == 3
    assert 0.9 < time.monotonic() - began < 15


def test_wait_cannot_tell(running):
    """What a pipeline must not read as a rollback."""
    done = running.cli("wait", "nope")
    assert done.returncode == 4 and "chat" in done.stderr, done.stderr
    done = running.cli("wait", "chat", "--for", "step:9")
    assert done.returncode == 4 and "2 steps" in done.stderr, done.stderr
    done = cli("wait", "chat", "--admin", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 4 and done.stderr, done.stderr


def test_wait_without_a_canary(sluice, backend):
    s = sluice(policy("chat", backend("1.0.0")))
    for goal in ("promoted", "rolled_back", "step:1"):
        done = s.cli("wait", "chat", "--for", goal, "--timeout", "5s")
        assert done.returncode == 4 and "no canary" in done.stderr, done.stderr


def test_wait_gives_up_on_a_dead_controller(running):
    began = time.monotonic()
    with subprocess.Popen(
        [SLUICE, "wait", "chat", "--admin", running.admin],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as p:
        assert p.stdout.readline().startswith("chat: progressing")
        running.stop()
        _, errors = p.communicate(timeout=30)
    assert p.returncode == 4
    assert 9 < time.monotonic() - began < 25
    assert errors.count("cannot reach") == 1, "said once, and not with every look"
    assert "no answer for 10 s" in errors


@pytest.mark.parametrize("columns,rows", [(60, 12), (100, 30)])
def test_status_watch_fits_its_terminal(running, columns, rows):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with subprocess.Popen(
        [SLUICE, "status", "chat", "--watch", "-i", "200ms", "--admin", running.admin],
        stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"},
    ) as p:
        os.close(slave)
        seen = b""

        def frame():
            """The next whole frame as lines of plain text."""
            nonlocal seen
            deadline = time.monotonic() + 15
            seen = b""
            while seen.count(b"\x1b[?7h") < 2 and time.monotonic() < deadline:
                seen += os.read(master, 65536)
            text = seen.split(b"\x1b[?7h")[1].decode()
            return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).split("\n")

        try:
            lines = [line.rstrip("\r") for line in frame()]
            assert lines[0].startswith("chat  progressing"), lines
            assert len(lines) <= rows and max(map(len, lines)) <= columns, lines
            running.stop()
            deadline = time.monotonic() + 15
            while "no answer since" not in lines[2] and time.monotonic() < deadline:
                lines = [line.rstrip("\r") for line in frame()]
            assert lines[0].startswith("chat  progressing"), lines
            assert sum("no answer since" in line for line in lines) == 1, lines
            assert len(lines) <= rows and max(map(len, lines)) <= columns, lines
        finally:
            p.terminate()
            p.wait(10)
            os.close(master)


def test_status_watch_shows_changes_and_ends_with_its_output(running, tmp_path):
    """Piped, --watch is a log that another program can follow."""
    with subprocess.Popen(
        [SLUICE, "status", "chat", "--watch", "--admin", running.admin],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as p:
        lines = []
        seen = threading.Event()

        def read():
            for line in p.stdout:
                lines.append(line)
                if "rolled_back" in line:
                    seen.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        time.sleep(0.5)
        running.cli("rollback", "chat")
        try:
            assert seen.wait(15), lines
        finally:
            p.terminate()
            p.wait(10)
    assert "\x1b" not in "".join(lines)


# --- starting ---


def test_port_in_use(tmp_path, backend):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "sluice.yaml"
        config.write_text(
            json.dumps(
                {
                    "proxy": {"listen": [{"address": f"127.0.0.1:{port}"}]},
                    "controller": {"admin": f"127.0.0.1:{free_port()}"},
                }
            )
        )
        p = tmp_path / "chat.yaml"
        p.write_text(json.dumps(policy("chat", backend("1.0.0"))))
        done = cli("run", config, p)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "in use" in done.stderr


def test_admin_port_in_use(tmp_path, backend):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "sluice.yaml"
        config.write_text(
            json.dumps(
                {
                    "proxy": {"listen": [{"address": f"127.0.0.1:{free_port()}"}]},
                    "controller": {"admin": f"127.0.0.1:{port}"},
                }
            )
        )
        p = tmp_path / "chat.yaml"
        p.write_text(json.dumps(policy("chat", backend("1.0.0"))))
        done = cli("run", config, p)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr


def test_admin_on_all_addresses_without_tokens_is_refused(tmp_path, backend):
    """Without tokens only this machine may steer."""
    config = tmp_path / "sluice.yaml"
    config.write_text(
        json.dumps(
            {
                "proxy": {"listen": [{"address": f"127.0.0.1:{free_port()}"}]},
                "controller": {"admin": f"0.0.0.0:{free_port()}"},
            }
        )
    )
    p = tmp_path / "chat.yaml"
    p.write_text(json.dumps(policy("chat", backend("1.0.0"))))
    done = cli("run", config, p)
    assert done.returncode == 1
    assert "loopback" in done.stderr or "127.0.0.1" in done.stderr


def test_run_with_a_file_that_is_not_there(tmp_path):
    done = cli("run", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "none.yaml" in done.stderr
