"""TLS on both sides, with openssl, curl and Python's ssl as peers."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from backend import Backend
from http_wire import Client, WireError, wait_until
from sluice import Sluice, cli, free_port, policy


def openssl(*args, **kw):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, **kw)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """Signs certificates, by the openssl command, in a folder."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.ca = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        self.new_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", 30,
                "-out", self.ca)

    @staticmethod
    def new_key(path):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)

    def issue(self, name, names, days=2):
        """Returns (certificate, key). A renewed one replaces the files."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extension = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        self.new_key(key)
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        extension.write_text("subjectAltName=" + ",".join(names))
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key,
                "-CAcreateserial", "-days", days, "-extfile", extension, "-out", certificate)
        return certificate, key


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


class TlsBackend(Backend):
    """A Backend within TLS. A handler's connection.sock is the SSLSocket: closing it sends no
    close_notify, unwrap() does."""

    def __init__(self, version, certificate, key, handler=None, client_ca=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.set_alpn_protocols(["http/1.1"])
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.sessions = []
        self.names = []
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        super().__init__(version, handler)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def serve(self, sock, number):
        try:
            secure = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
        except OSError:
            sock.close()
            return
        self.sessions.append(secure.session_reused)
        super().serve(secure, number)


@pytest.fixture
def tls_backend():
    started = []

    def make(*args, **kw):
        started.append(TlsBackend(*args, **kw))
        return started[-1]

    yield make
    for b in started:
        b.stop()


@pytest.fixture
def secure(sluice, backend):
    """secure(tls, …) → sluice that listens within TLS, before a plain backend; .tls_port is where."""

    def make(tls, handler=None, proxy=None, **keys):
        port = free_port()
        listen = [{"address": f"127.0.0.1:{port}", "tls": tls}]
        b = backend("1.0.0", handler)
        s = sluice(policy("chat", b, **keys), config={"proxy": {"listen": listen, **(proxy or {})}})
        s.tls_port = port
        s.backend = b
        return s

    return make


def pair(files):
    return {"certificate": str(files[0]), "key": str(files[1])}


def context_for(authority, certificate=None, version=None):
    context = ssl.create_default_context(cafile=authority.ca)
    if certificate:
        context.load_cert_chain(*certificate)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsClient(Client):
    def __init__(self, port, context, name="model.example", session=None, timeout=30.0):
        super().__init__(port, timeout)
        self.sock = context.wrap_socket(
            self.sock, server_hostname=name, session=session, suppress_ragged_eofs=False
        )
        self.reader.sock = self.sock

    def get(self, target="/v1/models", host="model.example"):
        self.send_request("GET", target, host=host)
        return self.response()

    def response(self, **kw):
        message = super().response(**kw)
        return message if message.body else self.reader.body(message)


def common_name(sock):
    return dict(pairs[0] for pairs in sock.getpeercert()["subject"])["commonName"]


def handshake(port, context, name="model.example"):
    with TlsClient(port, context, name) as c:
        return c.sock.version(), c.sock.selected_alpn_protocol(), common_name(c.sock)


# --- listeners ---


def test_versions(secure, authority):
    s = secure(pair(authority.issue("model", ["DNS:model.example"])))
    for version, text in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        assert handshake(s.tls_port, context_for(authority, version=version))[0] == text
    for old in ("-tls1", "-tls1_1"):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{s.tls_port}", old, "-cipher",
             "ALL:@SECLEVEL=0"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert "alert protocol version" in done.stderr, done.stderr
    # Nothing with RSA key exchange or without authentication of what is encrypted.
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{s.tls_port}", "-tls1_2", "-cipher",
         "ECDHE-ECDSA-AES256-SHA384:AES128-GCM-SHA256:@SECLEVEL=0"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert "handshake failure" in done.stderr, done.stderr


def test_a_request_with_curl(secure, authority):
    s = secure(pair(authority.issue("model", ["DNS:model.example"])))
    done = subprocess.run(
        ["curl", "-sS", "-i", "--cacert", authority.ca, "--connect-to",
         f"model.example:443:127.0.0.1:{s.tls_port}", "-d", "x" * 100000,
         "https://model.example/v1/models"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HTTP/1.1 200"), done.stdout
    assert '"bytes": 100000' in done.stdout
    seen = s.backend.requests[-1]
    assert seen.header("x-forwarded-proto") == "https"
    assert seen.header("host") == "model.example"


def test_alpn(secure, authority):
    s = secure(pair(authority.issue("model", ["DNS:model.example"])))
    for offered, expected in ((None, None), (["h2", "http/1.1"], "http/1.1")):
        context = context_for(authority)
        if offered:
            context.set_alpn_protocols(offered)
        assert handshake(s.tls_port, context)[1] == expected
    context = context_for(authority)
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        handshake(s.tls_port, context)


def test_certificates_by_name(secure, authority):
    first = authority.issue("first", ["DNS:first.example"])
    second = authority.issue("second", ["DNS:second.example", "DNS:*.wild.example"])
    s = secure({"certificates": [pair(first), pair(second)]})
    context = context_for(authority)
    assert handshake(s.tls_port, context, "first.example")[2] == "first"
    assert handshake(s.tls_port, context, "second.example")[2] == "second"
    assert handshake(s.tls_port, context, "a.wild.example")[2] == "second"
    context.check_hostname = False
    assert handshake(s.tls_port, context, "unknown.example")[2] == "first"
    # One connection for several names, as far as its certificate goes.
    with TlsClient(s.tls_port, context_for(authority), "second.example") as c:
        assert c.get(host="a.wild.example").status == 200
        assert c.get(host="first.example").status == 421


def test_plain_bytes_are_answered_with_an_end(secure, authority):
    s = secure(pair(authority.issue("model", ["DNS:model.example"])))
    with Client(s.tls_port) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reader.to_end()[:4] != b"HTTP"
    assert handshake(s.tls_port, context_for(authority))[2] == "model"


def test_handshake_timeout(secure, authority):
    s = secure(pair(authority.issue("model", ["DNS:model.example"])),
               proxy={"limits": {"handshake_timeout": "300ms"}})  # fmt: skip
    for said in (b"", b"\x16\x03\x01\x02\x00\x01"):
        with Client(s.tls_port) as c:
            c.send(said)
            begin = time.monotonic()
            assert c.sock.recv(100) == b""
            assert time.monotonic() - begin > 0.25
    with TlsClient(s.tls_port, context_for(authority)) as c:
        time.sleep(0.6)  # an idle connection whose handshake is done is another matter
        assert c.get().status == 200


def test_half_close_and_pipelining(secure, authority):
    s = secure(pair(authority.issue("model", ["DNS:model.example"])),
               proxy={"client_eof": "answer"})  # fmt: skip
    process = subprocess.run(
        ["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", f"127.0.0.1:{s.tls_port}",
         "-servername", "model.example"],
        input="GET /v1/a HTTP/1.1\r\nHost: model.example\r\n\r\n"
              "GET /v1/b HTTP/1.1\r\nHost: model.example\r\nConnection: close\r\n\r\n",
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    del process  # openssl ends as soon as its input does; what matters is that sluice is well
    with TlsClient(s.tls_port, context_for(authority)) as c:
        c.send(b"GET /v1/a HTTP/1.1\r\nHost: model.example\r\n\r\n" * 3)
        assert [c.response().status for _ in range(3)] == [200] * 3


def test_a_large_answer_to_a_slow_reader(secure, authority):
    size = 30_000_000
    data = os.urandom(1_000_000)

    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(data)):
            connection.send(data)

    s = secure(pair(authority.issue("model", ["DNS:model.example"])), handler)
    s.request_before = s.rss_kib()
    with TlsClient(s.tls_port, context_for(authority)) as c:
        c.send_request("GET", "/big", host="model.example")
        message = c.reader.head()
        time.sleep(1.0)
        assert s.rss_kib() - s.request_before < 8 * 1024  # ASan keeps what was freed
        c.reader.body(message)
        assert message.body == data * (size // len(data))


# --- renewal ---


def test_renewal_reaches_new_connections_only(secure, authority):
    files = authority.issue("model", ["DNS:model.example"])
    s = secure(pair(files))
    context = context_for(authority)
    with TlsClient(s.tls_port, context) as old:
        before = old.sock.getpeercert()["serialNumber"]
        assert old.get().status == 200
        authority.issue("model", ["DNS:model.example"])
        s.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "run.reloaded" in s.log(), 10, "the reload")

        def renewed():
            with TlsClient(s.tls_port, context) as c:
                return c.sock.getpeercert()["serialNumber"] != before and c.get().status == 200

        for _ in range(8):  # whichever worker
            wait_until(renewed, 10, "the new certificate")
        assert old.get().status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_outlive_a_renewal(secure, authority, version):
    files = authority.issue("model", ["DNS:model.example"])
    s = secure(pair(files))
    context = context_for(authority, version=version)
    with TlsClient(s.tls_port, context) as c:
        assert not c.sock.session_reused
        c.get()
        session = c.sock.session
    for round in range(6):  # whichever worker
        with TlsClient(s.tls_port, context, session=session) as c:
            assert c.sock.session_reused
            assert c.get().status == 200
        if round == 2:
            authority.issue("model", ["DNS:model.example"])
            s.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "run.reloaded" in s.log(), 10, "the reload")


def test_a_bad_renewal_changes_nothing(secure, authority):
    files = authority.issue("model", ["DNS:model.example"])
    s = secure(pair(files))
    good = files[0].read_text(), files[1].read_text()
    other = authority.issue("other", ["DNS:other.example"])
    cases = [
        (files[0], "", "it is empty"),
        (files[0], "junk", "no PEM certificate"),
        (files[1], other[1].read_text(), "is not that of the first certificate"),
        (files[1], None, "No such file"),
    ]
    for path, text, reason in cases:
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        seen = s.log().count("run.reloaded")
        s.process.send_signal(signal.SIGHUP)
        wait_until(lambda: s.log().count("run.reloaded") > seen, 10, "the reload")
        last = [line for line in s.log().splitlines() if "tls.reload_failed" in line][-1]
        assert reason in last and str(path) in last, last
        assert handshake(s.tls_port, context_for(authority))[2] == "model"
        files[0].write_text(good[0])
        files[1].write_text(good[1])


def test_renewals_under_load_lose_nothing(secure, authority):
    files = authority.issue("model", ["DNS:model.example"])
    s = secure(pair(files))
    context = context_for(authority)
    end = time.monotonic() + 3.0
    count = 0
    with TlsClient(s.tls_port, context) as steady:
        while time.monotonic() < end:
            s.process.send_signal(signal.SIGHUP)
            with TlsClient(s.tls_port, context) as c:
                assert c.get().status == 200
            assert steady.get().status == 200
            count += 2
    assert count > 20
    assert "tls.reload_failed" not in s.log()


# --- files that are wrong at the start ---


@pytest.mark.parametrize("broken", ["missing", "text", "mismatch", "encrypted", "empty-ca"])
def test_start_fails_naming_file_and_reason(tmp_path, authority, backend, broken):
    certificate, key = authority.issue("model", ["DNS:model.example"])
    tls = pair((certificate, key))
    if broken == "missing":
        tls["certificate"], reason = str(tmp_path / "gone.crt"), "No such file or directory"
        named = tls["certificate"]
    elif broken == "text":
        certificate.write_text("hello")
        named, reason = str(certificate), "there is no PEM certificate in it"
    elif broken == "mismatch":
        tls["key"] = named = str(authority.issue("other", ["DNS:x"])[1])
        reason = "the key is not that of the first certificate in"
    elif broken == "encrypted":
        locked = tmp_path / "locked.key"
        openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked)
        tls["key"] = named = str(locked)
        reason = "the key is encrypted with a passphrase"
    else:
        empty = tmp_path / "empty.pem"
        empty.write_text("")
        tls["client_ca"] = named = str(empty)
        reason = "it is empty"
    listen = [{"address": f"127.0.0.1:{free_port()}", "tls": tls}]
    s = Sluice(tmp_path / "s", [policy("chat", backend("1"))],
               config={"proxy": {"listen": listen}}, start=False)  # fmt: skip
    s.spawn()
    assert s.process.wait(20) != 0
    lines = [line for line in s.log().splitlines() if named in line and reason in line]
    assert lines and "sluice.yaml:1:" in lines[0], s.log()
    done = cli("check", *s.files)
    assert done.returncode == 1 and lines[0] in done.stdout


def test_an_expired_certificate_is_a_warning(secure, authority):
    certificate, key = authority.issue("model", ["DNS:model.example"], days=-1)
    s = secure(pair((certificate, key)))
    done = cli("check", *s.files)
    assert done.returncode == 0 and "has expired at" in done.stdout
    assert "has expired at" in s.log() and str(certificate) in s.log()
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(s.tls_port, context_for(authority))


# --- clients' certificates ---


def test_client_certificates(secure, authority, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    server = authority.issue("model", ["DNS:model.example"])
    ours = authority.issue("client", ["DNS:client.example"])
    theirs = stranger.issue("thief", ["DNS:client.example"])

    def ask(s, certificate, version=None):
        context = context_for(authority, certificate, version)
        try:
            with TlsClient(s.tls_port, context) as c:
                return c.get().status
        except (OSError, WireError) as e:
            return str(e)

    s = secure({**pair(server), "client_ca": str(authority.ca), "client_auth": "required"})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert ask(s, ours, version) == 200
        assert "200" not in str(ask(s, None, version))
        assert "200" not in str(ask(s, theirs, version))
    # With TLS 1.3 the alert comes after the request was sent: it must not be lost in a reset.
    assert "certificate required" in str(ask(s, None, ssl.TLSVersion.TLSv1_3)).lower().replace(
        "_", " "
    )
    s = secure({**pair(server), "client_ca": str(authority.ca), "client_auth": "optional"})
    assert ask(s, ours) == 200
    assert ask(s, None) == 200
    assert "200" not in str(ask(s, theirs))
    assert s.backend.count == 2
    assert s.metrics().value("sluice_tls_handshakes_total") == 2
    assert s.metrics().value("sluice_tls_handshake_failures_total") == 1


# --- endpoints ---


def fetch_logged(s, target="/v1/models"):
    """The answer, and the access log's line of it."""
    seen = s.stdout().count("\n")
    answer = s.request("GET", target)
    wait_until(lambda: s.stdout().count("\n") > seen, 10, "the access log")
    return answer, json.loads(s.stdout().strip().splitlines()[-1])


LOG = {"proxy": {"access_log": {"to": "stdout", "sample": "100%"}}}


def test_endpoint_within_tls(sluice, tls_backend, authority):
    b = tls_backend("1", *authority.issue("model", ["IP:127.0.0.1"]))
    s = sluice(policy("chat", b, upstream={"tls": {"ca": str(authority.ca)}}), config=LOG)
    answer, line = fetch_logged(s)
    assert answer.status == 200, answer.body
    assert line["outcome"] == "ok"
    assert b.names == [None]  # an address is no name to ask for
    for _ in range(10):
        assert s.request("POST", body=b"x" * 200_000).status == 200


def test_endpoint_by_another_name(sluice, tls_backend, authority):
    b = tls_backend("1", *authority.issue("model", ["DNS:model.internal"]))
    tls = {"ca": str(authority.ca), "server_name": "model.internal"}
    s = sluice(policy("chat", b, upstream={"tls": tls}))
    assert s.request().status == 200
    assert b.names == ["model.internal"]


@pytest.mark.parametrize(
    "names, days, tls, reason",
    [
        (["DNS:other.internal"], 2, {}, "the certificate is for other.internal, not for 127.0.0.1"),
        (["IP:127.0.0.1"], -1, {}, "certificate has expired"),
        (["IP:127.0.0.1"], 2, {"ca": None}, "unable to get local issuer certificate"),
    ],
)
def test_an_endpoint_that_is_not_believed(
    sluice, tls_backend, authority, names, days, tls, reason
):
    b = tls_backend("1", *authority.issue("model", names, days=days))
    tls = {k: v for k, v in {"ca": str(authority.ca), **tls}.items() if v}
    s = sluice(policy("chat", b, upstream={"tls": tls}), config=LOG)
    answer, line = fetch_logged(s)
    assert answer.status == 502
    assert reason in json.loads(answer.body)["error"]["message"], answer.body
    assert line["outcome"] == "connect"
    assert b.count == 0


def test_what_waited_for_a_handshake_was_never_sent(sluice, tls_backend, authority):
    """A POST that was written before the endpoint turned out to be somebody else goes to another."""
    stranger = tls_backend("1", *authority.issue("stranger", ["DNS:other.internal"]))
    good = tls_backend("1", *authority.issue("good", ["IP:127.0.0.1"]))
    upstream = {"tls": {"ca": str(authority.ca)}, "retries": {"max": 1, "budget": "100%"}}
    s = sluice(policy("chat", ("1", [stranger.url, good.url]), upstream=upstream))
    for _ in range(20):
        assert s.request("POST", body=b"x" * 150_000).status == 200
    assert len(stranger.names) > 0
    assert (stranger.count, good.count) == (0, 20)


def test_verification_can_be_turned_off(sluice, tls_backend, authority):
    b = tls_backend("1", *authority.issue("model", ["DNS:other.internal"], days=-1))
    s = sluice(policy("chat", b, upstream={"tls": {"verify": False}}))
    assert s.request().status == 200


def test_an_endpoint_that_does_not_speak_tls(sluice):
    def plain(listener):
        for _ in range(2):  # it is tried once more
            with listener.accept()[0] as sock:
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=plain, args=(listener,), daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        s = sluice(policy("chat", ("1", [url])), config=LOG)
        answer, line = fetch_logged(s)
    assert answer.status == 502
    assert b"does not speak TLS" in answer.body, answer.body
    assert line["outcome"] == "connect"


def test_an_endpoint_that_never_shakes_hands(sluice):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        s = sluice(policy("chat", ("1", [url]), upstream={"connect_timeout": "300ms"}), config=LOG)
        answer, line = fetch_logged(s)
        assert answer.status == 504
        assert line["outcome"] == "connect"


def test_our_certificate_for_endpoints(sluice, tls_backend, authority):
    server = authority.issue("model", ["IP:127.0.0.1"])
    ours = authority.issue("sluice", ["DNS:sluice.internal"])
    b = tls_backend("1", *server, client_ca=authority.ca)
    tls = {"ca": str(authority.ca), **pair(ours)}
    s = sluice(policy("chat", b, upstream={"tls": tls}))
    assert s.request().status == 200
    s = sluice(policy("chat", b, upstream={"tls": {"ca": str(authority.ca)}}))
    assert s.request().status == 502


def test_sessions_with_endpoints_are_taken_up_again(sluice, tls_backend, authority):
    def handler(request, connection):
        connection.reply(200, b"ok", [("Connection", "close")])
        connection.sock.unwrap()
        connection.close_after = True

    b = tls_backend("1", *authority.issue("model", ["IP:127.0.0.1"]), handler=handler)
    s = sluice(policy("chat", b, upstream={"tls": {"ca": str(authority.ca)}}))
    for _ in range(6):
        assert s.request().status == 200
    assert b.sessions[0] is False
    assert all(b.sessions[1:]), b.sessions


def test_a_connection_that_ends_with_its_answer_is_not_used_again(sluice, tls_backend, authority):
    """It did not announce it, and the next request is there already: it must not go where nobody
    reads any more."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def handler(request, connection):
        raw = connection.sock
        fd = socket.socket(fileno=os.dup(raw.fileno()))
        fd.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # both leave as one segment
        connection.send(answer)
        raw.setblocking(False)
        try:
            raw.unwrap()
        except ssl.SSLWantReadError:
            pass
        fd.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        fd.close()
        connection.close_after = True

    b = tls_backend("1", *authority.issue("model", ["IP:127.0.0.1"]), handler=handler)
    s = sluice(policy("chat", b, upstream={"tls": {"ca": str(authority.ca)}}))
    for _ in range(10):
        with Client(s.port) as c:
            for _ in range(3):
                c.send_request("POST", "/v1/chat/completions", body=b"question")
            for _ in range(3):
                assert c.response().status == 200
    assert b.count == 30


@pytest.mark.parametrize("clean", [True, False])
def test_an_answer_that_only_the_end_ends(sluice, tls_backend, authority, clean):
    """Without a close_notify anybody may have cut it, and the client must be able to tell."""

    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nhalf an answer")
        if clean:
            connection.sock.unwrap()
        connection.close_after = True

    b = tls_backend("1", *authority.issue("model", ["IP:127.0.0.1"]), handler=handler)
    s = sluice(policy("chat", b, upstream={"tls": {"ca": str(authority.ca)}}), config=LOG)
    if clean:
        assert s.request().body == b"half an answer"
    else:
        with pytest.raises(WireError):
            s.request()
    wait_until(lambda: s.stdout().count("\n") > 0, 10, "the access log")
    line = json.loads(s.stdout().strip().splitlines()[-1])
    assert line["outcome"] == ("ok" if clean else "truncated")


def test_streams_within_tls_on_both_sides(sluice, tls_backend, authority):
    """Each event as it comes, not when the next one does."""
    gate = socket.socketpair()

    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
        for i in range(5):
            event = b"data: %d\n\n" % i
            connection.send(b"%x\r\n%s\r\n" % (len(event), event))
            gate[0].recv(1)
        connection.send(b"0\r\n\r\n")

    b = tls_backend("1", *authority.issue("model", ["IP:127.0.0.1"]), handler=handler)
    port = free_port()
    listen = [{"address": f"127.0.0.1:{port}",
               "tls": pair(authority.issue("front", ["DNS:model.example"]))}]  # fmt: skip
    s = sluice(policy("chat", b, upstream={"tls": {"ca": str(authority.ca)}}, protocol="plain"),
               config={"proxy": {"listen": listen}})  # fmt: skip
    assert s.process
    with TlsClient(port, context_for(authority)) as c:
        c.send_request("GET", "/stream", host="model.example")
        assert c.reader.head().status == 200
        for i in range(5):
            assert c.reader.chunk() == b"data: %d\n\n" % i
            gate[1].send(b"x")
        assert c.reader.chunk() == b""
