"""The table of cases. A case is what is sent to which proxies, and what is compared."""

import dataclasses

from peers import Setup

ALL = ("sluice", "haproxy", "nginx", "h2o", "forward")
TLS = ("sluice", "haproxy", "nginx", "h2o")


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    about: str
    load: tuple = ()  # options of bench-load
    proxies: tuple = ALL  # labels, or (label, kind, options of its starter)
    measure: str = "cpu"  # cpu: interleaved rounds; connections, start: memory, a new process each
    unit: str = "request"  # what the CPU time is divided by
    size: int = 256  # of an answer's body
    addresses: int = 1  # of an origin
    tls: bool = False
    sse: bool = False
    subject: str = "sluice"  # compared with each of the others
    goals: dict = dataclasses.field(default_factory=dict)  # the highest ratio aimed at

    def variants(self):
        """(label, kind, Setup) of every proxy."""
        for proxy in self.proxies:
            label, kind, options = (proxy, proxy, {}) if isinstance(proxy, str) else proxy
            yield label, kind, Setup(tls=self.tls, sse=self.sse, **options)

    def arguments(self):
        """Of bench-load."""
        tls = ("--tls",) if self.tls else ()
        return ("--answer", str(self.size), *tls, *self.load)


def against(haproxy=None, nginx=None, h2o=None, forward=None):
    goals = {"haproxy": haproxy, "nginx": nginx, "h2o": h2o, "forward": forward}
    return {name: goal for name, goal in goals.items() if goal is not None}


def rollouts(n):
    return f"sluice, {n}", "sluice", {"rollouts": n}


def endpoints(kind, n):
    return f"{kind}, {n}", kind, {"endpoints": n}


def buffer(kind, size):
    """A peer with buffers that the answer fits into."""
    return f"{kind}, large buffers", kind, {"buffer": size}


def workers(kind, n):
    return f"{kind}, {n}", kind, {"workers": n}


SMALL = against(haproxy=0.62, nginx=0.56, h2o=0.75, forward=1.25)

CASES = (
    Case("b256", "256 B answers, 64 connections", goals=SMALL),
    Case("b4k", "4 KiB answers, 64 connections", size=4096, goals=SMALL),
    Case("b64k", "64 KiB answers, 64 connections", size=65536,
         proxies=(*ALL, buffer("haproxy", "65536"), buffer("nginx", "64k")),
         goals=against(haproxy=0.65, nginx=0.55, forward=1.25)),
    Case("c512", "256 B answers, 512 connections", ("--connections", "512"),
         goals=against(haproxy=0.56, nginx=0.50, forward=1.25)),
    Case("rate10k", "256 B answers, 10,000 requests/s, latency from when each was due",
         ("--mode", "open", "--rate", "10000")),
    Case("sse", "1,000 streams of 20 events/s", ("--mode", "sse", "--connections", "1000"),
         unit="event", sse=True, goals=against(haproxy=0.85, nginx=0.82)),
    Case("tls", "256 B answers over TLS 1.3, 64 connections", proxies=TLS, tls=True,
         goals=against(haproxy=0.80, nginx=0.75)),
    Case("tls-full", "a new connection and a full TLS handshake for every request",
         ("--mode", "new"), TLS, unit="handshake and request", tls=True),
    Case("tls-resumed", "a new connection and a resumed TLS handshake for every request",
         ("--mode", "new", "--resume"), TLS, unit="handshake and request", tls=True),
    Case("newconn", "a new connection for every request", ("--mode", "new"),
         unit="connection and request"),
    Case("workers2", "256 B answers, 64 connections, one worker and two",
         proxies=(workers("sluice", 2), workers("sluice", 1), workers("haproxy", 2),
                  workers("haproxy", 1), workers("nginx", 2)), subject="sluice, 2"),
    Case("rollouts", "256 B answers, rollouts told apart by host; the requests are for one",
         proxies=(rollouts(1000), rollouts(100), rollouts(1)), subject="sluice, 1000",
         goals={"sluice, 1": 1.05}),
    Case("endpoints", "256 B answers, 100 endpoints per version and one",
         proxies=(endpoints("sluice", 100), endpoints("sluice", 1), endpoints("haproxy", 100),
                  endpoints("nginx", 100)), addresses=100, subject="sluice, 100"),
    Case("idle", "10,000 idle connections, each after one request",
         ("--mode", "idle", "--connections", "10000"), TLS, measure="connections"),
    Case("sse-memory", "1,000 streams of 20 events/s",
         ("--mode", "sse", "--connections", "1000"), measure="connections", unit="stream",
         sse=True),
    Case("start-memory", "a process that has just started", proxies=TLS, measure="start"),
)

BY_NAME = {case.name: case for case in CASES}
