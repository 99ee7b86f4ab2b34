"""Out of ephemeral ports: our own shortage, not the version's fault."""

import json
import subprocess

from sluice import FAST_GUARD, policy, steps

# Stands between libuv and the kernel: while the flag's file is there, no connection finds a port.
SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    if (address->sa_family == AF_INET && access(getenv("NO_PORTS"), F_OK) == 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, address, len);
}
"""


def test_no_port_is_left_for_a_connection_to_a_backend(sluice, backend, tmp_path):
    (tmp_path / "shim.c").write_text(SHIM)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", "shim.so", "shim.c"], cwd=tmp_path, check=True
    )
    flag = tmp_path / "no-ports"
    flag.write_text("")
    s = sluice(
        policy("chat", backend("1.0.0"), backend("2.0.0"),
               first={"steps": steps(50, 100, hold="1h"), "analysis": {"burst_guard": FAST_GUARD}}),
        prefix=("env", f"LD_PRELOAD={tmp_path / 'shim.so'}", f"NO_PORTS={flag}",
                "ASAN_OPTIONS=verify_asan_link_order=0"),
    )
    s.wait_weight(50, 10)
    for _ in range(300):
        r = s.request("POST", "/v1/chat", body=b"{}")
        assert r.status == 503
        assert json.loads(r.body)["error"]["code"] == "overloaded"
        assert r.header("retry-after") is not None
    assert s.phase() == "progressing", "nobody's version is at fault"
    assert s.api("GET", "/readyz")[0] == 200
    flag.unlink()
    assert s.request("POST", "/v1/chat", body=b"{}").status == 200
    assert s.phase() == "progressing"
