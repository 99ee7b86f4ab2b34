"""What the tests promise, from `sluice simulate` itself: false reverts, detection, bursts, late
outcomes, and whole rollouts to their promotion. Each row says the command that gives it.

    tables.py --quick            a few rollouts per row, to see that all of it runs (a minute or two)
    tables.py --full             as published; the essential rows take about 25 minutes on two cores
    tables.py --full --all       the rest too
    tables.py --only 7.3 bursts  tables whose name has one of these words

"Before" is what an independent simulation of the algorithms gave, in slots and with outcomes that
are known at once where it does not say otherwise: seconds and failed requests are median/p95.
"""

import argparse
import dataclasses
import json
import math
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICK = 8
HEAD = """\
rollout: chat
stable: {version: "1", endpoints: ["http://127.0.0.1:9001"]}
canary: {version: "2", endpoints: ["http://127.0.0.1:9002"]}
"""
NEVER = ["{metric: outcome, is: [429], max: 40%}", "{metric: outcome, is: [empty], max: 40%}",
         "{metric: outcome, is: [malformed], max: 40%}"]
ABS, INCREASE = "{metric: error_rate, max: 1%}", "{metric: error_rate, max_increase: 0.5%}"
LATENCY = "{metric: latency, quantile: [50%, 90%, 99%], max_ratio: 1.3}"
CLIENTS = "{metric: outcome, is: [4xx, 429], max_increase: 1%}"
QUICKLY = "latency=lognormal:120ms:0.3"  # its tail above 259.9 ms is 0.5 %, above 241.1 ms 1 %
HELD = [10, 10.01, 10.02, 10.03]  # four steps that are one


def policy(criteria, guard="m=2", weights=(10, 25, 50, 100), hold="10m", extra=""):
    """guard: m=N, and final at the first crossing but for "asked" (2, [30s, 2m])."""
    slots = "2" if guard == "asked" else guard.split("=")[1]
    confirm = "[30s, 2m]" if guard == "asked" else "[]"
    text = HEAD + "steps:\n"
    for weight in weights:
        text += f"  - {{weight: {weight}, hold: {hold}}}\n"
    text += f"analysis:\n  burst_guard: {{slot: 1s, min_bad_slots: {slots}, confirm: {confirm}}}\n"
    text += extra + "  criteria:\n"
    return text + "".join(f"    - {c}\n" for c in criteria)


def no_breach(criteria):
    return [c.replace("}", ", require: no_breach}") if "max:" in c else c for c in criteria]


PURE = "  on_stable_degraded: judge\n  hard_down: {failures: 0}\n"  # nothing beside the tests


@dataclasses.dataclass
class Row:
    table: str
    case: str
    policy: str
    words: list  # of the command line
    rollouts: int
    before: str = ""
    essential: bool = True
    compare: str = ""


def words(rps, stable, canary="", hours=None, shared="", watch=None):
    out = ["--rps", f"{rps:g}", "--stable", stable]
    for option, value in (("--canary", canary), ("--hours", hours and f"{hours:g}"),
                          ("--shared", shared), ("--watch", watch)):
        if value:
            out += [option, value]
    return out


# --- the tables ------------------------------------------------------------------------------------


def false_reverts():
    name = "7.1 false reverts, 10/25/50/100 %, ten minutes each"
    rivals = "argo:60s:0,argo:60s:3,flagger:60s:5"
    for m in ("m=0", "m=2", "m=3"):
        four = [ABS, "{metric: error_rate, max_ratio: 1.5}",
                "{metric: latency, quantile: 99%, max: 260ms}", CLIENTS]
        for errors, rps, before in (("0.1%", 100, "0/5000"), ("0.5%", 100, "0/5000"),
                                    ("0.1%", 10, "0/5000"), ("0.5%", 10, "0/5000")):
            yield Row(name, f"{errors} errors, {rps}/s, {m}",
                      policy(no_breach(four), m, extra=PURE),
                      words(rps, f"errors={errors},{QUICKLY}", hours=0.67), 2000, before,
                      essential=m == "m=2" and rps == 100, compare=rivals if m == "m=2" else "")
    at = no_breach([ABS, "{metric: error_rate, max_ratio: 1}",
                    "{metric: latency, quantile: 99%, max: 241106us}", CLIENTS])
    at = [c.replace("241106us", "241.106ms") for c in at]
    yield Row(name, "exactly 1 % errors and 1 % tail, 50/s, m=2", policy(at, "m=2", extra=PURE),
              words(50, f"errors=1%,{QUICKLY}", hours=0.67), 20000, "1/7500 (100/s)")
    yield Row(name, "exactly 1 %, the default policy", HEAD,
              words(50, f"errors=1%,{QUICKLY}", hours=0.67), 3000, "0/2000")
    for failures in ("50ms", "as-slow", "timeout:60s"):
        for m in ("m=0", "m=3"):
            yield Row(name, f"fast-fail bias: 0.5 %, failures {failures}, 20 canary/s, {m}",
                      policy(no_breach([ABS]), m, weights=HELD, extra=PURE),
                      words(200, "errors=0.5%,latency=lognormal:5s:1.068,failures=" + failures,
                            hours=0.67), 2000, "0/2000",
                      essential=failures == "50ms")


def bursts():
    name = "7.2 bursts of each variant's own, once in 5 min, half of all requests fail"
    before = {  # ABS / REL
        ("m=0", "0.3s"): ".891 / .144", ("m=2", "0.3s"): ".033 / .039",
        ("m=3", "0.3s"): "0 / .010", ("m=0", "1s"): ".997 / .827", ("m=2", "1s"): ".714 / .666",
        ("m=3", "1s"): ".253 / .439", ("m=0", "3s"): ".999 / .977", ("m=2", "3s"): ".983 / .953",
        ("m=3", "3s"): ".926 / .919"}
    for (m, length), found in before.items():
        for what, criterion in (("max", ABS), ("max_ratio", "{metric: error_rate, max_ratio: 1.5}")):
            yield Row(name, f"{length}, {m}, {what}",
                      policy(no_breach([criterion, *NEVER]), m, extra=PURE),
                      words(100, f"errors=0.05%,bursts={length}/300s:50%,{QUICKLY}", hours=0.67),
                      500, found, essential=m == "m=3",
                      compare="argo:60s:0,argo:60s:3,flagger:60s:5"
                      if m == "m=3" and what == "max" else "")
    name = "2-1.2 bursts, and asked again (30s, 2m, and the wide test)"
    for length, found, n in (("1s", ".001 / .001", 1000), ("3s", ".0004 / 0", 2500),
                             ("10s", ".009 / .010", 700)):
        for what, criterion in (("max", ABS), ("max_increase", INCREASE)):
            yield Row(name, f"{length}, {what}", policy(no_breach([criterion]), "asked", extra=PURE),
                      words(100, f"errors=0.05%,bursts={length}/300s:50%,{QUICKLY}"), n, found,
                      essential=what == "max" or length == "3s")
    yield Row(name, "3s, the default policy", HEAD,
              words(100, f"errors=0.05%,bursts=3s/300s:50%,{QUICKLY}"), 500)
    for what, criteria, found in (("max", [ABS], "G .003 at 3 s"), ("relative", [INCREASE], "0")):
        yield Row(name, f"shared bursts of 3s, {what}",
                  policy(no_breach(criteria), "asked", extra=PURE),
                  words(100, f"errors=0.05%,{QUICKLY}", shared="bursts=3s/300s:50%"), 500, found,
                  essential=False)
    yield Row(name, "shared outage: 40 % for 120 s, relative criteria",
              policy([INCREASE, LATENCY, CLIENTS], "asked", extra=PURE),
              words(100, f"errors=0.1%,{QUICKLY}", shared="outage=5m+120s:40%"), 1000, "0")


def detection():
    name = "7.3 detection at 10 %, one criterion of four"
    before = {  # seconds at 10, 100, 1000 requests/s
        ("m=0", 2): ("3238/inf", "358/617", "37/62"), ("m=0", 5): ("285/590", "29/60", "3.0/6.2"),
        ("m=0", 20): ("27/65", "2.7/6.1", ".27/.61"), ("m=0", 100): ("2.7/6.3", ".27/.62", ".03/.06"),
        ("m=2", 2): ("3238/inf", "358/617", "37/62"), ("m=2", 5): ("285/590", "29/60", "3.2/6.3"),
        ("m=2", 20): ("28/65", "3.3/6.5", "1.1/1.4"), ("m=2", 100): ("3.6/7.2", "1.2/1.5", "1.0/1.1"),
        ("m=3", 2): ("3238/inf", "358/617", "38/62"), ("m=3", 5): ("286/590", "30/60", "4.1/6.9"),
        ("m=3", 20): ("29/66", "4.2/7.4", "2.1/2.3"), ("m=3", 100): ("3.8/7.4", "2.1/2.3", "2.0/2.0")}
    for (m, rate), found in before.items():
        for rps, value in zip((10, 100, 1000), found):
            yield Row(name, f"{rate} %, {rps}/s, {m}",
                      policy([ABS, *NEVER], m, weights=HELD, extra=PURE),
                      words(rps, f"errors=0%,{QUICKLY}", f"errors={rate}%,failures=1ms",
                            {10: 1, 100: 0.5, 1000: 1 / 3}[rps], watch="1s"), 1000, value,
                      essential=rps == 100,
                      compare="argo:60s:0,argo:60s:3,flagger:60s:5"
                      if m == "m=2" and rps == 100 else "")
    for rps, value in ((10, "4.97/9.0 s"), (100, "2.2/2.5 s"), (1000, "2.0/2.0 s")):
        yield Row(name, f"100 %, only after 600 s, {rps}/s, m=2",
                  policy([ABS, *NEVER], "m=2", weights=[10], hold="40m", extra=PURE),
                  words(rps, f"errors=0%,{QUICKLY}", "errors=100%,failures=1ms,onset=600s", 0.66,
                        watch="1s"), 500, value, essential=rps == 100)
    name = "7.4 detection against stable (0.1 %), m=0, requests of the canary"
    ratio = "{metric: error_rate, max_ratio: 1.5}"
    for weight, cells in ((10, ((1, "2157/4319"), (2, "616/1211"), (5, "156/326"), (20, "35/62"),
                                (100, "7/8"))), (50, ((2, "1632/2832"), (5, "522/832")))):
        for rate, found in cells:
            steps = [weight, weight + 0.01, weight + 0.02, weight + 0.03]
            yield Row(name, f"{rate} %, weight {weight} %",
                      policy([ratio, *NEVER], "m=0", weights=steps, extra=PURE),
                      words(100, f"errors=0.1%,{QUICKLY}", f"errors={rate}%,failures=1ms", 2,
                            watch="1s"), 500, found + " requests", essential=weight == 10)
    name = "2-1.2 detection, asked again, at 10 %: when taken away, when condemned"
    for rate, found in ((5, "35-40 s; 247/287 s, 48/58 failed"), (20, "4-6 s; 162/167 s, 25/29"),
                        (100, "1.5 s; 155/155 s, 47/59")):
        yield Row(name, f"{rate} %, one criterion",
                  policy([ABS], "asked", extra=PURE),
                  words(100, f"errors=0.05%,{QUICKLY}", f"errors={rate}%"), 500, found)
        yield Row(name, f"{rate} %, the default policy", HEAD,
                  words(100, f"errors=0.1%,{QUICKLY}", f"errors={rate}%"), 500)


def late_outcomes():
    name = "2-2.3 late outcomes: answers of 5 s (p99 60 s), onset 120 s, 20 canary/s, m=3"
    before = {5: ("22/38; 23/30", "36/53; 37/45", "119/142; 119/133"),
              20: ("4.5/6.1; 20/26", "10/14; 42/52", "73/75; 291/318"),
              100: ("3.2/3.4; 67/80", "5.8/6.5; 116/142", "65/66; 1307/1362")}
    for rate, found in before.items():
        for failures, value in zip(("50ms", "as-slow", "timeout:60s"), found):
            yield Row(name, f"{rate} %, failures {failures}",
                      policy([ABS], "m=3", weights=HELD, extra=PURE),
                      words(200, "errors=0%,latency=lognormal:5s:1.068,failures=" + failures,
                            f"errors={rate}%,onset=120s", 0.66), 500, value)
    for quantile, limit, found in (("75%", "15s", "19 s, 384 gone"), ("99%", "78s", "84 s, 1674"),
                                   ("99%", "120s", "127 s, 2535")):
        tail = f"{{metric: latency, quantile: {quantile}, max: {limit}}}"
        yield Row(name, f"hung, {quantile} must be within {limit}",
                  policy([tail], "m=3", weights=HELD, extra=PURE),
                  words(200, "errors=0%,latency=lognormal:5s:1.068", "hang,onset=120s", 0.66), 300,
                  found)


def whole():
    old = [ABS, INCREASE, LATENCY, CLIENTS]
    name = "2-3.1 healthy rollouts to their end: hours, median/p95 (least .67)"
    for evidence, cells in (
            ("before: 100%", (("0.1%", ((1, ".73/1.03"), (3, ".67/.71"), (10, ".67/.67"),
                                        (100, ".67/.67"))),
                              ("0.5%", ((1, "2.3/4.3"), (3, "1.1/1.9"), (10, ".67/.86"),
                                        (100, ".67/.67"))))),
            ("before: each", (("0.1%", ((1, "2.3/4.3"), (10, ".67/.76"))),
                              ("0.5%", ((1, "7.3/12.6, u .54"), (10, "1.3/2.5")))))):
        for errors, found in cells:
            for rps, value in found:
                yield Row(name, f"evidence {evidence}, {errors} errors, {rps}/s",
                          policy(old, "m=3", extra=f"  evidence: {{{evidence}}}\n"),
                          words(rps, f"errors={errors},4xx=2%,{QUICKLY}"), 250, value,
                          essential="100" in evidence)
    name = "2-3.2 bad rollouts, evidence before 100 %: seconds until reverted"
    for rate, found in (("1.2%", ((1, "10769/20254, r .976, w .004"), (3, "3995/7193, w .004"),
                                  (10, "1923/2763"))),
                        ("2%", ((1, "3468/6037"), (3, "1735/2611"), (10, "859/1345"),
                                (100, "115/229"))),
                        ("5%", ((1, "1181/1830"), (3, "606/983"), (10, "192/403"),
                                (100, "21/43")))):
        for rps, value in found:
            yield Row(name, f"{rate}, {rps}/s", policy(old, "m=3"),
                      words(rps, f"errors=0.1%,4xx=2%,{QUICKLY}", f"errors={rate}"), 250, value)
    for rps, value in ((3, ".004"), (10, "0"), (100, "0")):
        yield Row(name, f"1.2 % from 50 % on, {rps}/s: share that reached 100 %", policy(old, "m=3"),
                  words(rps, f"errors=0.1%,4xx=2%,{QUICKLY}", "errors=1.2%,onset=50%"), 250,
                  "w " + value)
    name = "2-5 slower canaries, p50, p90 and p99 at 1.3x, m=3: seconds (requests)"
    for sigma, shift, rps, value, n in ((0.3, "1.5x", 100, "46/97 (470)", 300),
                                        (0.3, "2x", 10, "32/63 (34)", 300),
                                        (0.3, "2x", 100, "5/9 (48)", 300),
                                        (1.07, "2x", 100, "73/125 (745)", 300),
                                        (1.07, "3x", 100, "18/29 (172)", 300),
                                        (1.07, "5x", 10, "46/86 (46)", 300),
                                        (1.07, "1.3x", 100, "never", 200)):
        yield Row(name, f"sigma {sigma}, {shift}, {rps}/s",
                  policy([LATENCY], "m=3", weights=HELD, extra=PURE),
                  words(rps, f"errors=0%,latency=lognormal:120ms:{sigma}", f"shift={shift}", 0.66), n,
                  value, essential=shift != "1.3x")


def all_rows():
    for table in (false_reverts, bursts, detection, late_outcomes, whole):
        yield from table()


# --- running ---------------------------------------------------------------------------------------


def slug(text):
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")


class Runner:
    def __init__(self, args):
        self.args = args
        self.binary = pathlib.Path(os.environ.get("SLUICE_BIN_DIR", ROOT / "build/release"))
        self.folder = pathlib.Path(args.policies)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.names = {}

    def file(self, text):
        if text not in self.names:
            path = self.folder / f"{len(self.names) + 1:02}.yaml"
            path.write_text(text)
            self.names[text] = path
        return self.names[text]

    def run(self, row):
        count = max(QUICK, row.rollouts // 250) if self.args.quick else row.rollouts
        if self.args.quick:
            count = min(count, 20)
        command = ["sluice", "simulate", str(self.file(row.policy)), *row.words, "-n", str(count),
                   "--seed", str(self.args.seed)]
        if row.compare:
            command += ["--compare", row.compare]
        start = time.monotonic()
        done = subprocess.run([self.binary / "sluice", *command[1:], "-o", "json"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        return command, json.loads(done.stdout), time.monotonic() - start


def number(value):
    return "inf" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def pair(spread):
    return "-" if spread["count"] == 0 else f"{number(spread['median'])}/{number(spread['p95'])}"


def share(s):
    return f"{s['count']} ({100 * s['lower']:.3g} to {100 * s['upper']:.3g} %)"


def cells(name, result, seconds):
    down, verdict = result["until_sent_back"], result["until_reverted"]
    hours = result["seconds_until_promoted"]
    promoted = "-" if hours["count"] == 0 else (
        f"{hours['median'] / 3600:.2f}/{hours['p95'] / 3600:.2f}")
    return [name, share(result["reverted"]), f"{result['times_sent_back']:.3g}",
            pair(down["seconds"]), pair(down["requests"]), pair(down["failed"]),
            pair(verdict["seconds"]), pair(verdict["failed"]),
            f"{result['promoted']['share']:.3g}", promoted, f"{result['undecided']['share']:.3g}",
            f"{result['reached_last_weight']['share']:.3g}", seconds]


HEADER = ["case", "reverted (95 %)", "sent back", "away: s", "requests", "failed", "condemned: s",
          "failed", "promoted", "hours", "undecided", "at 100 %", "before"]


def wald(rows):
    """Mean requests until the crossing beside what no test can do better."""
    found = [(rate, done) for rate, done in rows if done["until_sent_back"]["requests"]["count"]]
    if not found:
        return
    print("\n### Detection against Wald's bound (alpha .1 %, limit 1 %, 100/s, m=0, mean requests)\n")
    print("| canary | bound log(1/alpha)/KL | of four criteria: log(4/alpha)/KL | found | ratio |")
    print("|---|---|---|---|---|")
    for rate, done in found:
        p, p0 = rate / 100, 0.01
        kl = p * math.log(p / p0) + (0 if rate == 100 else (1 - p) * math.log((1 - p) / (1 - p0)))
        mean = done["until_sent_back"]["requests"]["mean"]
        bound, aware = math.log(1000) / kl, math.log(4000) / kl
        print(f"| {rate} % | {bound:.1f} | {aware:.1f} | {mean:.1f} | {mean / bound:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--quick", action="store_true")
    mode.add_argument("--full", action="store_true")
    parser.add_argument("--all", action="store_true", help="rows that are not essential too")
    parser.add_argument("--only", nargs="*", default=[], help="tables whose name has such a word")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--policies", default=str(ROOT / "build/figures/policies"),
                        help="folder that the policies are written to")
    args = parser.parse_args()
    runner, table, commands, bounds = Runner(args), None, [], []
    begun = time.monotonic()
    for row in all_rows():
        if not row.essential and not args.all:
            continue
        if args.only and not any(word in row.table for word in args.only):
            continue
        if row.table != table:
            print_commands(commands)
            commands, table = [], row.table
            print(f"\n### {table}\n\n| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
        command, done, seconds = runner.run(row)
        commands.append((row.case, command, seconds))
        for i, result in enumerate(done["results"]):
            name = row.case if i == 0 else f"{row.case}: {result['rules']}"
            print("| " + " | ".join(cells(name, result, row.before if i == 0 else "")) + " |",
                  flush=True)
        if row.table.startswith("7.3") and "100/s, m=0" in row.case:
            bounds.append((int(row.case.split()[0]), done["results"][0]))
    print_commands(commands)
    wald(bounds)
    print(f"\n{time.monotonic() - begun:.0f} s in all")
    return 0


def print_commands(commands):
    if commands:
        print("\nThe commands, in the same order:\n")
    for case, command, seconds in commands:
        print("    " + " ".join(f"'{w}'" if " " in w else w for w in command)
              + f"   # {case}: {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
