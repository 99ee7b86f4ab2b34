"""Backends' answers as bytes, and what the client must get: the same message in a form with one
reading, a 502, or something that it can tell is not whole. The RFC section stands with the group."""

import collections

from wire_requests import label

# The answer passes: exactly these end-to-end fields in this order, beside those a proxy owns.
# `reuse`: whether the connection to the backend may be used again (None: either).
Passed = collections.namedtuple("Passed", "status fields body trailers interim reuse")
# 502 with an error document, and the connection to the backend is given up.
Bad = collections.namedtuple("Bad", "")
# A head went out already, or may have: what the client gets is visibly not whole, or a 502.
Cut = collections.namedtuple("Cut", "")
# `then`: what the backend does behind these bytes: stay (open), close or reset. `minor`: of the
# client's HTTP/1. `outcome`: what the attempt counts as.
Case = collections.namedtuple("Case", "wire want method then minor outcome")

OK = b"HTTP/1.1 200 OK\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
CASES = {}


def add(name, wire, want, method="POST", then="stay", minor=1, outcome=None):
    assert name not in CASES, name
    if outcome is None:
        outcome = "malformed" if not isinstance(want, Passed) else "ok"
    CASES[name] = Case(wire, want, method, then, minor, outcome)


def passed(name, wire, status=200, fields=(), body=b"hello", trailers=(), interim=(), reuse=True,
           **kw):
    kw.setdefault("outcome", "5xx" if status >= 500 else "429" if status == 429 else
                  "4xx" if status >= 400 else "ok")
    add(name, wire, Passed(status, list(fields), body, list(trailers), list(interim), reuse), **kw)


def bad(name, wire, **kw):
    add(name, wire, Bad(), **kw)


def cut(name, wire, **kw):
    add(name, wire, Cut(), **kw)


def length(status_line=OK, fields=b"", body=b"hello"):
    return status_line + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunks(body, fields=b""):
    return OK + fields + TE + b"\r\n" + body


# --- plain framings: RFC 9112, 6.3 ---------------------------------------------------------------
passed("length", length())
passed("length-zero", length(body=b""), body=b"")
passed("chunked", chunks(HELLO))
passed("chunked-nothing", chunks(b"0\r\n\r\n"), body=b"")
passed("to-the-end", OK + b"\r\nhello", then="close", reuse=False)
passed("to-the-end-nothing", OK + b"\r\n", body=b"", then="close", reuse=False)
passed("to-the-end-said", OK + b"Connection: close\r\n\r\nhello", then="close", reuse=False)
passed("1.0-to-the-end", b"HTTP/1.0 200 OK\r\n\r\nhello", then="close", reuse=False)
passed("1.0-length", length(b"HTTP/1.0 200 OK\r\n"), reuse=False)
passed("1.0-keep-alive", length(b"HTTP/1.0 200 OK\r\n", b"Connection: keep-alive\r\n"), reuse=None)
passed("close-said", length(fields=b"Connection: close\r\n"), reuse=False)
passed("close-said-capitals", length(fields=b"CONNECTION: CLOSE\r\n"), reuse=False)
passed("length-200k", length(body=b"z" * 200000), body=b"z" * 200000)
passed("chunks-of-one", chunks(b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"))
passed("chunk-capitals-zeros", chunks(b"00A\r\nhellohello\r\n000\r\n\r\n"), body=b"hellohello")
passed("extension", chunks(b'5;a=1;b="x;y"\r\nhello\r\n0;z\r\n\r\n'))
passed("extension-3k", chunks(b"5;" + b"x" * 3000 + b"\r\nhello\r\n0\r\n\r\n"))
passed("body-is-an-answer", length(body=length()), body=length())
passed("te-capitals", OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n" + HELLO)
# To a client of HTTP/1.0 the same bodies end with the connection.
passed("to-1.0-length", length(), minor=0)
passed("to-1.0-chunked", chunks(HELLO), minor=0)
passed("to-1.0-trailers", chunks(b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"), minor=0)
passed("to-1.0-interim", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + length(), minor=0)
passed("to-1.0-to-the-end", OK + b"\r\nhello", minor=0, then="close", reuse=False)

# --- framing that has no single reading ----------------------------------------------------------
for value in (b"+5", b"-5", b"0x5", b"5,6", b"5, 6", b"5 5", b"", b"five", b"5.0", b"1_0", b"5;",
              b"5,",
              b"9223372036854775808", b"18446744073709551621", b"1" * 40, b"\xb2"):
    bad(f"cl-value-{label(value)}", OK + b"Content-Length: " + value + b"\r\n\r\nhello")
bad("cl-differs", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
bad("cl-equal", OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
bad("cl-te", OK + b"Content-Length: 5\r\n" + TE + b"\r\n" + HELLO)
bad("te-cl", OK + TE + b"Content-Length: 50\r\n\r\n" + HELLO)
for value in (b"xchunked", b"chunked, chunked", b"chunked, gzip", b"gzip, chunked", b"identity",
              b"gzip",
              b"", b"chunked;q=1", b'"chunked"', b"chunked\x0b", b"chunked\xa0", b"\x0cchunked",
              b",chunked"):
    bad(f"te-value-{label(value)}", OK + b"Transfer-Encoding: " + value + b"\r\n\r\n" + HELLO)
bad("te-twice", OK + TE + TE + b"\r\n" + HELLO)
bad("te-1.0", b"HTTP/1.0 200 OK\r\n" + TE + b"\r\n" + HELLO)
bad("te-fold", OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + HELLO)
bad("cl-fold", OK + b"Content-Length: 5\r\n 0\r\n\r\nhello")

# --- the status line: RFC 9112, 4 ----------------------------------------------------------------
for start in (b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 -20 OK", b"HTTP/1.1 abc OK",
              b"HTTP/1.1  200 OK", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1200 OK",
              b"HTTP/1.1\t200 OK",
              b"HTTP/2.0 200 OK", b"HTTP/2 200", b"HTTP/0.9 200 OK", b"HTTP/1.10 200 OK",
              b"HTTP/1 200 OK",
              b"http/1.1 200 OK", b"ICY 200 OK", b"HTTP/1,1 200 OK", b"XHTTP/1.1 200 OK",
              b" HTTP/1.1 200 OK",
              b"HTTP/1.1 200OK", b"HTTP/1.1 2 0 OK", b"HTTP/1.1 +20 OK", b"HTTP/1.1 0x2 OK",
              b"HTTP/1.1 000 Zero", b"HTTP/1.1 099 Low", b"HTTP/1.1 200 O\x00K",
              b"HTTP/1.1 200 O\x01K",
              b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 O\x7fK",
              b"HTTP/1.1 2\xb2\xb2 OK",
              b"SSH-2.0-OpenSSH_9.2", b"220 mail ESMTP", b"GET / HTTP/1.1", b"\x16\x03\x03", b"{}",
              b""):
    bad(f"start-{label(start)}", start + b"\r\nContent-Length: 5\r\n\r\nhello")
passed("start-no-reason", length(b"HTTP/1.1 200 \r\n"))
passed("start-no-space", length(b"HTTP/1.1 200\r\n"))
passed("start-reason-8-bit", length(b"HTTP/1.1 200 Gr\xfcn\r\n"))
passed("start-reason-tab", length(b"HTTP/1.1 200 a\tb\r\n"))
for status in (201, 202, 205, 206, 226, 299, 300, 301, 307, 399, 400, 401, 404, 407, 418, 421, 429,
               431, 499, 500,
               503, 504, 511, 599):
    passed(f"status-{status}", length(b"HTTP/1.1 %d Odd\r\n" % status), status=status)

# --- fields: RFC 9110, 5.5; RFC 9112, 5 ----------------------------------------------------------
for byte in b"\x00\x01\x0b\x0c\x1f\"(),/;<=>?@[\\]{}\x7f\x80\xff":
    bad(f"name-with-x{byte:02x}", length(fields=b"X%cY: 1\r\n" % byte))
for byte in b"\x00\x01\x08\x0b\x0c\x1b\x1f\x7f":
    bad(f"value-with-x{byte:02x}", length(fields=b"X: a%cb\r\n" % byte))
bad("value-splits", length(fields=b"X: a\rSet-Cookie: evil=1\r\n"))
bad("value-cr-at-end", length(fields=b"X: a\r\r\n"))
bad("name-empty", length(fields=b": 1\r\n"))
bad("name-only", length(fields=b"novalue\r\n"))
bad("name-inner-space", length(fields=b"X Y: 1\r\n"))
bad("fold", length(fields=b"X: 1\r\n 2\r\n"))
bad("fold-tab", length(fields=b"X: 1\r\n\t2\r\n"))
bad("fold-first", length(fields=b" X: 1\r\n"))
bad("bare-lf-all", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")
bad("bare-lf-field", length(fields=b"X: 1\nY: 2\r\n"))
bad("bare-lf-end", OK + b"Content-Length: 5\r\n\nhello")
bad("second-status-line", length(fields=b"HTTP/1.1 200 OK\r\n"))
# Space before a colon is taken away (RFC 9112, 5.1).
passed("name-space-colon", length(fields=b"X : 1\r\n"), fields=[(b"x", b"1")])
passed("values",
       length(fields=b"A: 1\r\nB:\r\na:  x y \r\nC: caf\xe9\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"),
       fields=[(b"a", b"1"), (b"b", b""), (b"a", b"x y"), (b"c", b"caf\xe9"), (b"set-cookie", b"a"),
               (b"set-cookie", b"b")])
passed("fields-100", length(fields=b"".join(b"X-%d: %d\r\n" % (i, i) for i in range(100))),
       fields=[(b"x-%d" % i, b"%d" % i) for i in range(100)])
passed("hop-by-hop", length(fields=b"Keep-Alive: max=9\r\nProxy-Connection: x\r\nTrailer: X-T\r\n"
                                   b"Connection: X-Inner, keep-alive\r\nX-Inner: 1\r\nX-Outer: 2\r\n"),
       fields=[(b"x-outer", b"2")])
passed("hop-by-hop-framing-named", length(fields=b"Connection: Content-Length\r\n"))
passed("hop-by-hop-te-named", chunks(HELLO, b"Connection: Transfer-Encoding\r\n"))
passed("upgrade-offered", length(fields=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"))
passed("version-claimed", length(fields=b"X-Sluice-Version: 9.9.9\r\n"))

# --- answers without a body: RFC 9112, 6.3; RFC 9110, 8.6, 15.3.5, 15.4.5 ------------------------
passed("204", b"HTTP/1.1 204 No\r\n\r\n", 204, body=b"")
passed("204-length-zero", b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 204, body=b"",
       reuse=None)
passed("204-with-body", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", 204, body=b"",
       reuse=False)
passed("204-chunked", b"HTTP/1.1 204 No\r\n" + TE + b"\r\n" + HELLO, 204, body=b"", reuse=False)
passed("304", b"HTTP/1.1 304 No\r\nETag: \"a\"\r\n\r\n", 304, [(b"etag", b'"a"')], body=b"")
passed("304-length", b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", 304, body=b"")
passed("304-with-body", length(b"HTTP/1.1 304 No\r\n"), 304, body=b"", reuse=False)
passed("head-length", OK + b"Content-Length: 5\r\n\r\n", body=b"", method="HEAD")
passed("head-chunked", OK + TE + b"\r\n", body=b"", method="HEAD")
passed("head-nothing", OK + b"\r\n", body=b"", method="HEAD")
passed("head-with-body", length(), body=b"", method="HEAD", reuse=False)
passed("head-chunked-with-body", chunks(HELLO), body=b"", method="HEAD", reuse=False)
passed("head-404", b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n", 404, body=b"", method="HEAD")

# --- interim answers: RFC 9110, 15.2 -------------------------------------------------------------
for status in (100, 102, 103, 104, 199):
    passed(f"interim-{status}", b"HTTP/1.1 %d Wait\r\n\r\n" % status + length(), interim=[status])
passed("interim-three",
       b"HTTP/1.1 103 A\r\n\r\nHTTP/1.1 102 B\r\n\r\nHTTP/1.1 103 C\r\n\r\n" + length(),
       interim=[103, 102, 103])
passed("interim-with-length", b"HTTP/1.1 103 A\r\nContent-Length: 5\r\n\r\n" + length(),
       interim=[103])
passed("interim-404", b"HTTP/1.1 103 A\r\n\r\n" + length(b"HTTP/1.1 404 No\r\n"), 404,
       interim=[103])
bad("interim-flood", b"HTTP/1.1 102 Processing\r\n\r\n" * 20000)
bad("interim-nul", b"HTTP/1.1 103 A\r\nX: \x00\r\n\r\n" + length())
bad("interim-only", b"HTTP/1.1 103 A\r\n\r\n", then="close", outcome="reset")
bad("101-unasked", b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nhello")
bad("101-unasked-bare", b"HTTP/1.1 101 Switching\r\n\r\n" + length())

# --- more than the answer: RFC 9112, 6.3 and 9.2 -------------------------------------------------
passed("surplus", length() + b"!", reuse=False)
passed("surplus-answer", length() + length(body=b"evil"), reuse=False)
passed("surplus-half-an-answer", length() + b"HTTP/1.1 200", reuse=False)
passed("surplus-crlf", length() + b"\r\n", reuse=False)
passed("surplus-chunked", chunks(HELLO) + length(body=b"evil"), reuse=False)
passed("surplus-204", b"HTTP/1.1 204 No\r\n\r\n" + length(body=b"evil"), 204, body=b"", reuse=False)
passed("surplus-zero", length(body=b"") + length(body=b"evil"), body=b"", reuse=False)

# --- bodies that break off: RFC 9112, 8 ----------------------------------------------------------
for then, outcome in (("close", "truncated"), ("reset", "reset")):
    cut(f"length-short-{then}", OK + b"Content-Length: 10\r\n\r\nhello", then=then, outcome=outcome)
    cut(f"length-nothing-{then}", OK + b"Content-Length: 10\r\n\r\n", then=then, outcome=outcome)
    cut(f"chunk-no-end-{then}", chunks(b"5\r\nhello\r\n"), then=then, outcome=outcome)
    cut(f"chunk-no-first-{then}", chunks(b""), then=then, outcome=outcome)
    cut(f"chunk-half-{then}", chunks(b"50\r\nhello"), then=then, outcome=outcome)
    cut(f"chunk-half-size-{then}", chunks(b"5\r\nhello\r\n5"), then=then, outcome=outcome)
    cut(f"chunk-half-end-{then}", chunks(b"5\r\nhello\r\n0\r\n"), then=then, outcome=outcome)
    cut(f"chunk-half-trailer-{then}", chunks(b"5\r\nhello\r\n0\r\nX: 1\r\n"), then=then,
        outcome=outcome)
    cut(f"to-1.0-{then}", chunks(b"5\r\nhello\r\n"), then=then, minor=0, outcome=outcome)
    cut(f"to-1.0-length-{then}", OK + b"Content-Length: 9\r\n\r\nhello", then=then, minor=0,
        outcome=outcome)
cut("to-the-end-reset", OK + b"\r\nhello", then="reset", outcome="reset")
for end in ("close", "reset"):
    bad(f"nothing-{end}", b"", then=end, outcome="reset")
    bad(f"half-a-head-{end}", b"HTTP/1.1 200 OK\r\nContent-Le", then=end, outcome="reset")
    bad(f"half-a-line-{end}", b"HTTP/1", then=end, outcome="reset")
for size in (b"", b"+5", b"-5", b"0x5", b"5_", b"5g", b" 5", b"5 5", b"\x005", b"10000000000000005",
             b"8000000000000005", b"ffffffffffffffff", b"five", b"5\x0b"):
    cut(f"chunk-size-{label(size)}", chunks(size + b"\r\nhello\r\n0\r\n\r\n"))
cut("chunk-no-crlf", chunks(b"5\r\nhello5\r\nhello\r\n0\r\n\r\n"))
cut("chunk-lf-behind", chunks(b"5\r\nhello\n0\r\n\r\n"))
cut("chunk-lf-size", chunks(b"5\nhello\r\n0\r\n\r\n"))
cut("chunk-bad-second", chunks(b"5\r\nhello\r\nxyz\r\n"))
cut("extension-nul", chunks(b"5;\x00\r\nhello\r\n0\r\n\r\n"))
cut("extension-70k", chunks(b"5;" + b"x" * 70000 + b"\r\nhello\r\n0\r\n\r\n"))
cut("trailer-nul", chunks(b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n"))
cut("trailer-endless", chunks(b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 50000))

# --- trailers: RFC 9110, 6.5 ---------------------------------------------------------------------
for field in (b"Content-Length: 9", b"Transfer-Encoding: chunked", b"Set-Cookie: evil=1",
              b"Connection: close",
              b"Host: evil", b"Content-Type: text/html", b"Upgrade: h2c"):
    passed(f"trailer-forbidden-{label(field.split(b':')[0])}",
           chunks(b"5\r\nhello\r\n0\r\n" + field + b"\r\n\r\n"))

# --- sizes ---------------------------------------------------------------------------------------
bad("head-endless", OK + b"X: y\r\n" * 100000)
bad("head-1m-field", length(fields=b"X: " + b"x" * 1000000 + b"\r\n"))
passed("head-60k-field", length(fields=b"X: " + b"x" * 60000 + b"\r\n"), fields=[(b"x",
                                                                                  b"x" * 60000)])
# A 204 that announces a body breaks RFC 9110, 8.6: what follows it cannot be trusted.
passed("204-length", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, body=b"", reuse=False)
