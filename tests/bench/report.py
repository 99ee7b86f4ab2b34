"""What `make bench` says: the summary of a case, as text, as JSON and as Markdown."""

import datetime
import hashlib
import json
import pathlib
import platform
import re

from ratios import median, paired

WAITED_MAX = 0.05  # of the time; more is not a machine to measure on
MEMORY_NAMES = {"rss": "RSS", "pss": "Pss", "anon": "Pss_Anon", "open_us": "CPU us to open"}


def summary(case, results, seconds, repeated):
    """A case's entry in result.json. results: {label: [a measurement's result for each round]}."""
    done = {
        "about": case.about,
        "measure": case.measure,
        "unit": case.unit,
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "seconds": seconds,
        "rounds": max(map(len, results.values())),
        "repeated": repeated,
        "proxies": {},
        "ratios": [],
    }
    for label, runs in results.items():
        of = cpu_figures if case.measure == "cpu" else memory_figures
        done["proxies"][label] = {**of(runs), "runs": runs}
    if case.measure == "cpu" and case.subject in results:
        ours = [run["us"] for run in results[case.subject]]
        for label, runs in results.items():
            if label != case.subject:
                middle, low, high = paired(ours, [run["us"] for run in runs])
                done["ratios"].append({"of": case.subject, "to": label, "median": middle,
                                       "low": low, "high": high, "goal": case.goals.get(label)})
    return done


def cpu_figures(runs):
    us = median([run["us"] for run in runs])
    user, system = (sum(run[kind] for run in runs) for kind in ("user", "system"))
    share = user / (user + system) if user + system else 0
    return {
        "us": us,
        "us_low": min(run["us"] for run in runs),
        "us_high": max(run["us"] for run in runs),
        # Ticks are coarse, but over all rounds there are enough of them to share out the exact sum.
        "user_us": us * share,
        "system_us": us * (1 - share),
        **{name: median([run[name] for run in runs]) for name in ("rate", "p50", "p99", "busy", "waited")},
        "failed": sum(run["failed"] for run in runs),
    }


def memory_figures(runs):
    return {name: median([run[name] for run in runs]) for name in runs[0]}


# --- result.json -----------------------------------------------------------------------------------


def load(path):
    return json.loads(pathlib.Path(path).read_text())


def machine():
    def first(path, pattern):
        match = re.search(pattern, pathlib.Path(path).read_text())
        return match[1].strip() if match else "unknown"

    return {
        "cpu": first("/proc/cpuinfo", r"model name\s*:(.*)"),
        "cores": len(re.findall(r"^processor", pathlib.Path("/proc/cpuinfo").read_text(), re.M)),
        "kernel": platform.release(),
        "congestion_control": first("/proc/sys/net/ipv4/tcp_congestion_control", r"(\w+)"),
    }


def merged(old, new):
    """What is kept of an earlier document: its cases, when they are of the same machine, programs
    and sluice; a case that is in both is the new one."""
    if any(old.get(key) != new[key] for key in ("machine", "versions", "sluice_sha256")):
        return new
    return {**old, **new, "cases": {**old.get("cases", {}), **new["cases"]}}


class Store:
    """result.json and result.md in a folder, true after every case. Results of another binary or
    machine are moved to result.previous.json."""

    def __init__(self, folder, sluice, versions):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        new = {
            "machine": machine(),
            "versions": versions,
            "sluice_sha256": hashlib.sha256(sluice.read_bytes()).hexdigest(),
            "cases": {},
        }
        self.document = new
        path = folder / "result.json"
        if path.exists():
            try:
                old = load(path)
            except ValueError:
                old = {}
            self.document = merged(old, new)
            if self.document is new:
                path.replace(folder / "result.previous.json")

    def put(self, name, done):
        self.document["cases"][name] = done
        self.write()

    def put_counts(self, counts):
        self.document["counts"] = counts
        self.write()

    def put_fold(self, done):
        self.document["fold"] = done
        self.write()

    def write(self):
        for name, text in (("result.json", json.dumps(self.document, indent=1) + "\n"),
                           ("result.md", markdown(self.document))):
            temporary = self.folder / (name + ".new")
            temporary.write_text(text)
            temporary.replace(self.folder / name)


# --- tables ----------------------------------------------------------------------------------------


def duration(us):
    return f"{us / 1000:.2f} ms" if us >= 1000 else f"{us:.0f} us"


def size(value):
    return f"{value / 2**20:.2f} MiB" if value >= 2**20 else (
        f"{value / 2**10:.1f} KiB" if value >= 10240 else f"{value:.0f} B")


def interval(ratio):
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def verdict(ratio):
    if ratio["goal"] is None:
        return ""
    return f"goal {ratio['goal']:.2f}: " + ("reached" if ratio["median"] <= ratio["goal"] else "not")


def rows(done):
    """(header, rows) of a case: texts."""
    if done["measure"] == "cpu":
        latency = "gap" if done["unit"] == "event" else "latency"
        header = ["proxy", f"CPU us/{done['unit']}", "user", "system", f"{done['unit']}s/s",
                  f"{latency} p50", "p99", "cores busy", "failed"]
        return header, [
            [label, f"{p['us']:.1f} ({p['us_low']:.1f}-{p['us_high']:.1f})", f"{p['user_us']:.1f}",
             f"{p['system_us']:.1f}", f"{p['rate']:,.0f}", duration(p["p50"]), duration(p["p99"]),
             f"{p['busy']:.2f}", str(p["failed"])]
            for label, p in done["proxies"].items()
        ]
    names = [name for name in next(iter(done["proxies"].values())) if name != "runs"]
    each = f" per {'connection' if done['unit'] == 'request' else done['unit']}"
    header = ["proxy"] + [MEMORY_NAMES[name] + (each if done["measure"] == "connections" else "")
                          for name in names]
    return header, [
        [label] + [f"{p[name]:.1f}" if name.endswith("_us") else size(p[name]) for name in names]
        for label, p in done["proxies"].items()
    ]


def aligned(header, body):
    table = [header, *body]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return "\n".join("  ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))) for row in table)


def piped(header, body):
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def text(name, done):
    """A case for the terminal."""
    lines = ["", f"{name}: {done['about']} (rounds: {done['rounds']} of {done['seconds']:g} s"
             + (f", {done['repeated']} repeated" if done["repeated"] else "") + ")",
             aligned(*rows(done))]
    for ratio in done["ratios"]:
        lines.append(f"{ratio['of']} / {ratio['to']}: {interval(ratio)}  {verdict(ratio)}".rstrip())
    return "\n".join([*lines, *disturbed(done), ""])


def disturbed(done):
    """A warning, when what was measured had to share its core."""
    waited = [p["waited"] for p in done["proxies"].values() if "waited" in p]
    if not waited or median(waited) < WAITED_MAX:
        return []
    return [f"other work ran on the proxies' core: they waited for it {median(waited):.0%} of the "
            "time, so believe the ratios at most"]


def counts_rows(counts):
    header = ["proxy", "syscalls/request", "which", "user instructions/request"]
    body = []
    for label, found in counts.items():
        calls = sorted(found.get("by_syscall", {}).items(), key=lambda item: -item[1])
        body.append([
            label,
            f"{found['syscalls']:.2f}" if "syscalls" in found else "",
            ", ".join(f"{name} {n:.2f}" for name, n in calls if n >= 0.005),
            f"{found['instructions']:,.0f}" if "instructions" in found else "",
        ])
    return header, body


def counts_text(counts):
    return "\ncounts, which do not depend on noise (b256)\n" + aligned(*counts_rows(counts)) + "\n"


def fold_rows(done):
    about = {"every": "every rollout in every tick of 100 ms",
             "due": "as the controller looks: after failures, else each second"}
    header = ["", "CPU ms per tick, median", "p95", "looks per tick", "us per look"]
    return header, [[about[how], f"{done[how]['median_ms']:.3f}", f"{done[how]['p95_ms']:.3f}",
                     f"{done[how]['looks_per_tick']:.1f}", f"{done[how]['us_per_look']:.1f}"]
                    for how in about]


def fold_text(done):
    return (f"\nfold: a tick for {done['rollouts']} rollouts with {done['criteria']} criteria, "
            f"{done['requests_per_second']:.0f} requests/s each\n"
            + aligned(*fold_rows(done)) + "\n")


def overview(document):
    """(header, rows): every ratio of sluice to a peer with one worker, a case per line."""
    peers = ["haproxy", "nginx", "h2o", "forward"]
    body = []
    for name, done in document["cases"].items():
        found = {ratio["to"]: ratio for ratio in done["ratios"] if ratio["of"] == "sluice"}
        if found:
            body.append([name, f"{done['proxies']['sluice']['us']:.1f}"] + [
                interval(found[peer]) if peer in found else "" for peer in peers])
    return ["case", "sluice, CPU us", *(f"/ {peer}" for peer in peers)], body


def markdown(document):
    m, versions = document["machine"], document["versions"]
    lines = [
        f"{m['cores']} cores of {m['cpu']}, Linux {m['kernel']}, {m['congestion_control']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "Processor time of sluice by that of each peer: median of the paired ratios and its 95 % "
        "interval.",
        "",
        piped(*overview(document)),
    ]
    for name, done in document["cases"].items():
        lines += ["", f"**{name}**: {done['about']}; rounds: {done['rounds']}, {done['when'][:10]}",
                  "", piped(*rows(done))]
        if done["ratios"]:
            lines += ["", "; ".join(f"{r['of']} / {r['to']} {interval(r)}"
                                    + (f" ({verdict(r)})" if r["goal"] is not None else "")
                                    for r in done["ratios"])]
    if document.get("counts"):
        lines += ["", "**counts**: per request of b256", "",
                  piped(*counts_rows(document["counts"]))]
    if document.get("fold"):
        done = document["fold"]
        lines += ["", f"**fold**: a tick of the controller for {done['rollouts']} rollouts with "
                  f"{done['criteria']} criteria", "", piped(*fold_rows(done))]
    return "\n".join(lines) + "\n"
