"""Requests as bytes, and what must become of each: refused, or forwarded as exactly one message.

Every row of requests that two HTTP parsers have been made to read differently is here,
each with its
variants; the RFC section stands with the group. `Refused` names the statuses that are right;
`Served` says what the backend must have got: exactly these end-to-end fields in this order, beside
those that a proxy owns.
"""

import collections

Refused = collections.namedtuple("Refused", "statuses")
Served = collections.namedtuple("Served", "method target host fields body trailers")
# A client that stops here and closes: no whole request may reach the backend, and no answer may
# be a success.
Unfinished = collections.namedtuple("Unfinished", "")
Case = collections.namedtuple("Case", "wire want")

HOST = b"Host: api.example.com\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
CASES = {}


def served(method=b"POST", target=b"/case", host=b"api.example.com", fields=(), body=b"",
           trailers=()):
    return Served(method, target, host, list(fields), body, list(trailers))


def add(name, wire, want):
    assert name not in CASES, name
    CASES[name] = Case(wire, want)


def refuse(name, wire, *statuses):
    add(name, wire, Refused(statuses or (400,)))


def head(line, fields=HOST):
    return line + b"\r\n" + fields + b"\r\n"


def get(fields=HOST):
    return head(b"GET /case HTTP/1.1", fields)


def post(fields, body=b""):
    return head(b"POST /case HTTP/1.1", HOST + fields) + body


def chunks(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


def label(text):
    """Bytes as a part of a case's name."""
    return "".join(chr(b) if 0x21 <= b < 0x7f and b not in b"[]:" else f"x{b:02x}" for b in text)


GOT = served(b"GET")
GOT_HELLO = served(body=b"hello")

# --- the framing of a body: RFC 9112, 6.1 and 6.3 ------------------------------------------------
TE, CL = b"Transfer-Encoding: chunked\r\n", b"Content-Length: %d\r\n"
for size in (0, 3, 5, 6, 15):
    refuse(f"cl-te-{size}", post(CL % size + TE, HELLO))
    refuse(f"te-cl-{size}", post(TE + CL % size, HELLO))
refuse("cl-te-smuggled", post(CL % 6 + TE, b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
refuse("te-cl-get", head(b"GET /case HTTP/1.1", HOST + TE + CL % 4) + b"0\r\n\r\n")
refuse("te-te-cl", post(TE + TE + CL % 5, HELLO))
refuse("te-1.0", head(b"POST /case HTTP/1.0", HOST + TE) + HELLO)
refuse("te-1.0-cl", head(b"POST /case HTTP/1.0", HOST + TE + CL % 5) + HELLO)
refuse("te-1.0-keep-alive",
       head(b"POST /case HTTP/1.0", HOST + TE + b"Connection: keep-alive\r\n") + HELLO)
add("no-framing-no-body", post(b""), served())
add("length-zero", post(CL % 0), served())
add("length", post(CL % 5, b"hello"), GOT_HELLO)
add("length-get", get(HOST + CL % 5) + b"hello", served(b"GET", body=b"hello"))
add("chunked", chunks(HELLO), GOT_HELLO)
add("chunked-nothing", chunks(b"0\r\n\r\n"), served())
add("te-capitals", post(b"TRANSFER-ENCODING: CHUNKED\r\n", HELLO), GOT_HELLO)
add("te-mixed-case", post(b"Transfer-encoding:cHuNkEd\r\n", HELLO), GOT_HELLO)
# A body that looks like a request stays a body.
add("body-is-a-request", post(CL % 35, b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"[:35]),
    served(body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"[:35]))
add("body-with-nul", post(CL % 5, b"he\x00lo"), served(body=b"he\x00lo"))
add("chunk-is-a-request", chunks(b"24\r\nGET /smuggled HTTP/1.1\r\nHost: aa\r\n\r\n\r\n0\r\n\r\n"),
    served(body=b"GET /smuggled HTTP/1.1\r\nHost: aa\r\n\r\n"))

# --- obfuscated codings: RFC 9112, 6.1 and 7 -----------------------------------------------------
for value in (b"xchunked", b"chunkedx", b"chunke", b"identity", b"gzip", b"deflate", b"compress",
              b"gzip, chunked", b"chunked, gzip", b"chunked, identity", b"identity, chunked",
              b"chunked, chunked", b"chunked,", b",chunked", b", chunked", b"chunked;q=1",
              b"chunked;", b'"chunked"', b"'chunked'", b"chunked chunked", b"chunk ed",
              b"chunked=1",
              b"x chunked", b"cow", b"", b"trailers", b"0", b"chun\xe2\x84\xaaed", b"chunked\xa0",
              b"\xa0chunked", b"\xc2\xa0chunked", b"chunked\xc2\xa0", b"chunked\x85",
              b"\x85chunked"):
    refuse(f"te-value-{label(value)}", post(b"Transfer-Encoding: " + value + b"\r\n", HELLO),
           400, 501)
for byte in b"\x00\x01\x08\x0b\x0c\x0e\x1f\x7f":
    refuse(f"te-before-x{byte:02x}", post(b"Transfer-Encoding: %cchunked\r\n" % byte, HELLO), 400,
           501)
    refuse(f"te-behind-x{byte:02x}", post(b"Transfer-Encoding: chunked%c\r\n" % byte, HELLO), 400,
           501)
    refuse(f"te-name-x{byte:02x}", post(b"Transfer-Encoding%c: chunked\r\n" % byte, HELLO))
refuse("te-twice", post(TE + TE, HELLO))
refuse("te-then-identity", post(TE + b"Transfer-Encoding: identity\r\n", HELLO), 400, 501)
refuse("te-identity-then", post(b"Transfer-Encoding: identity\r\n" + TE, HELLO), 400, 501)
refuse("te-empty-then", post(b"Transfer-Encoding:\r\n" + TE, HELLO), 400, 501)
refuse("te-space-colon", post(b"Transfer-Encoding : chunked\r\n", HELLO))
refuse("te-tab-colon", post(b"Transfer-Encoding\t: chunked\r\n", HELLO))
refuse("te-fold", post(b"Transfer-Encoding:\r\n chunked\r\n", HELLO))
refuse("te-fold-behind", post(b"Transfer-Encoding: chunked\r\n ,identity\r\n", HELLO))
refuse("te-fold-on-other", post(b"X: y\r\n Transfer-Encoding: chunked\r\n" + CL % 5, b"hello"))
refuse("te-bare-cr", post(b"X: y\rTransfer-Encoding: chunked\r\n" + CL % 5, b"hello"))
refuse("te-bare-lf", post(b"X: y\nTransfer-Encoding: chunked\r\n" + CL % 5, b"hello"))
refuse("te-leading-space", post(b" Transfer-Encoding: chunked\r\n", HELLO))
add("te-underscore", post(b"Transfer_Encoding: chunked\r\n" + CL % 5, b"hello"),
    served(fields=[(b"transfer_encoding", b"chunked")], body=b"hello"))

# --- Content-Length: 1*DIGIT, once: RFC 9110, 8.6 ------------------------------------------------
for value in (b"+5", b"-5", b"-0", b"0x5", b"5h", b"1_0", b"5.0", b"5.", b".5", b"1e1", b"5,,5",
              b"5,",
              b",5", b"5, 6", b"5, 5", b"5,5", b"5 5", b"5\t5", b"", b"five", b'"5"', b"5;",
              b"5;a=b", b"(5)",
              b"5#", b"0b101", b"0o5", b"\xd9\xa5", b"\xb2", b"5\xa0", b"NaN", b"Infinity",
              b"9223372036854775808", b"9223372036854775813", b"18446744073709551615",
              b"18446744073709551616", b"18446744073709551621", b"1" * 40):
    refuse(f"cl-value-{label(value)}", post(b"Content-Length: " + value + b"\r\n", b"hello"))
for byte in b"\x00\x01\x0b\x0c\x1f\x7f":
    refuse(f"cl-before-x{byte:02x}", post(b"Content-Length: %c5\r\n" % byte, b"hello"))
    refuse(f"cl-behind-x{byte:02x}", post(b"Content-Length: 5%c\r\n" % byte, b"hello"))
    refuse(f"cl-name-x{byte:02x}", post(b"Content-Length%c: 5\r\n" % byte, b"hello"))
refuse("cl-differs", post(CL % 5 + CL % 50, b"hello"))
refuse("cl-differs-zero", post(CL % 0 + CL % 5, b"hello"))
refuse("cl-equal", post(CL % 5 + CL % 5, b"hello"))
refuse("cl-empty-then", post(b"Content-Length:\r\n" + CL % 5, b"hello"))
refuse("cl-leading-zero-differs", post(b"Content-Length: 05\r\n" + CL % 5, b"hello"))
refuse("cl-space-colon", post(b"Content-Length : 5\r\n", b"hello"))
refuse("cl-tab-colon", post(b"Content-Length\t: 5\r\n", b"hello"))
refuse("cl-fold", post(b"Content-Length:\r\n 5\r\n", b"hello"))
refuse("cl-fold-digits", post(b"Content-Length: 5\r\n 0\r\n", b"hello"))
refuse("cl-bare-lf", post(b"X: y\nContent-Length: 5\r\n", b"hello"))
refuse("cl-too-large", post(b"Content-Length: 999999999999\r\n"), 413)
add("cl-zeros", post(b"Content-Length: 000005\r\n", b"hello"), GOT_HELLO)
add("cl-no-space", post(b"Content-Length:5\r\n", b"hello"), GOT_HELLO)
add("cl-underscore", post(b"Content_Length: 50\r\n" + CL % 5, b"hello"),
    served(fields=[(b"content_length", b"50")], body=b"hello"))

# --- names, values and lines of fields: RFC 9112, 5 and 2.2; RFC 9110, 5.5 and 5.6.2 -------------
for byte in b"\x00\x01\x09\x0b\x0c\x0d\x1f\x20\"(),/;<=>?@[\\]{}\x7f\x80\xa0\xff":
    refuse(f"name-with-x{byte:02x}", get(HOST + b"X%cY: 1\r\n" % byte))
for byte in b"\x00\x01\x08\x0b\x0c\x0e\x1b\x1f\x7f":
    refuse(f"value-with-x{byte:02x}", get(HOST + b"X: a%cb\r\n" % byte))
refuse("name-empty", get(HOST + b": 1\r\n"))
refuse("name-only", get(HOST + b"X\r\n"))
refuse("name-space-colon", get(HOST + b"X : 1\r\n"))
refuse("name-first-space-colon", get(b"Host : api.example.com\r\n"))
refuse("fold-space", get(HOST + b"X: 1\r\n 2\r\n"))
refuse("fold-tab", get(HOST + b"X: 1\r\n\t2\r\n"))
refuse("fold-first", head(b"GET /case HTTP/1.1", b" X: 1\r\n" + HOST))
refuse("fold-empty", get(HOST + b"X: 1\r\n \r\n"))
refuse("fold-host", get(b"Host: api.\r\n example.com\r\n"))
refuse("bare-cr-value", get(HOST + b"X: a\rY: b\r\n"))
refuse("bare-cr-end", get(HOST + b"X: a\r\r\n"))
refuse("bare-cr-line", b"GET /case HTTP/1.1\rHost: a\r\r\n\r\n")
refuse("bare-lf-request-line", b"GET /case HTTP/1.1\n" + HOST + b"\r\n")
refuse("bare-lf-field", get(HOST + b"X: 1\nY: 2\r\n"))
refuse("bare-lf-all", b"GET /case HTTP/1.1\nHost: a\n\n")
refuse("bare-lf-end", b"GET /case HTTP/1.1\r\n" + HOST + b"\n")
refuse("nul-after-line", b"GET /case HTTP/1.1\r\n\x00" + HOST + b"\r\n")
refuse("control-end", b"GET /case HTTP/1.1\r\n" + HOST + b"\x01\r\n\r\n")
add("value-tab", get(HOST + b"X: a\tb\r\n"), served(b"GET", fields=[(b"x", b"a\tb")]))
add("value-8-bit", get(HOST + b"X: caf\xe9\r\n"), served(b"GET", fields=[(b"x", b"caf\xe9")]))
add("value-utf-8", get(HOST + "X: Grüße\r\n".encode()),
    served(b"GET", fields=[(b"x", "Grüße".encode())]))
add("value-empty", get(HOST + b"X:\r\nY: \r\n"), served(b"GET", fields=[(b"x", b""), (b"y", b"")]))
add("value-spaces", get(HOST + b"X:  \ta b\t \r\n"), served(b"GET", fields=[(b"x", b"a b")]))
add("value-punctuation", get(HOST + b"X: \"(),/:;<=>?@[\\]{}\r\n"),
    served(b"GET", fields=[(b"x", b"\"(),/:;<=>?@[\\]{}")]))
add("value-colons", get(HOST + b"X: a: b: c\r\n"), served(b"GET", fields=[(b"x", b"a: b: c")]))
add("name-all-tchar", get(HOST + b"!#$%&'*+-.^_`|~9aZ: 1\r\n"),
    served(b"GET", fields=[(b"!#$%&'*+-.^_`|~9az", b"1")]))
add("fields-repeat-in-order", get(HOST + b"A: 1\r\nB: 2\r\na: 3\r\nA: 4\r\n"),
    served(b"GET", fields=[(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"a", b"4")]))
add("fields-100", get(HOST + b"".join(b"X-%d: %d\r\n" % (i, i) for i in range(100))),
    served(b"GET", fields=[(b"x-%d" % i, b"%d" % i) for i in range(100)]))
add("empty-lines-before", b"\r\n\r\n" + get(), GOT)

# --- chunks: RFC 9112, 7.1 -----------------------------------------------------------------------
for size in (b"", b"+5", b"-5", b"0x5", b"0X5", b"5_", b"_5", b"0_5", b"5h", b"5g", b" 5", b"\t5",
             b"5 5",
             b"5.", b"5,", b"5 ", b"5\t", b"\x005", b"5\x00", b"5\x0b", b"\xb5", b"5\xa0", b"five",
             b"5\r", b"(5)",
             b"10000000000000005", b"8000000000000005", b"fffffffffffffffb", b"ffffffffffffffff",
             b"fffffffffffffffff", b"0" * 64 + b"5"):
    refuse(f"chunk-size-{label(size)}", chunks(size + b"\r\nhello\r\n0\r\n\r\n"), 400, 413)
refuse("chunk-no-crlf-behind", chunks(b"5\r\nhello0\r\n\r\n"))
refuse("chunk-lf-behind", chunks(b"5\r\nhello\n0\r\n\r\n"))
refuse("chunk-cr-behind", chunks(b"5\r\nhello\r0\r\n\r\n"))
refuse("chunk-more-data", chunks(b"5\r\nhelloXX0\r\n\r\n"))
refuse("chunk-more-data-crlf", chunks(b"5\r\nhelloX\r\n0\r\n\r\n"))
refuse("chunk-less-data", chunks(b"6\r\nhello\r\n0\r\n\r\n"))
refuse("chunk-lf-size", chunks(b"5\nhello\r\n0\r\n\r\n"))
refuse("chunk-cr-size", chunks(b"5\rhello\r\n0\r\n\r\n"))
refuse("chunk-lf-all", chunks(b"5\nhello\n0\n\n"))
refuse("chunk-lf-last", chunks(b"5\r\nhello\r\n0\n\r\n"))
refuse("chunk-lf-end", chunks(b"5\r\nhello\r\n0\r\n\n"))
refuse("chunk-blank-between", chunks(b"5\r\nhello\r\n\r\n0\r\n\r\n"))
refuse("extension-nul", chunks(b"5;a=\x00\r\nhello\r\n0\r\n\r\n"))
refuse("extension-bare-cr", chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"))
refuse("extension-bare-lf", chunks(b"5;a\nhello\r\n0\r\n\r\n"))
refuse("extension-lf-smuggles", chunks(b"5;\nhello\r\n0\r\n\r\n"))
refuse("extension-control", chunks(b"5;a\x01\r\nhello\r\n0\r\n\r\n"))
refuse("extension-70k", chunks(b"5;" + b"x" * 70000 + b"\r\nhello\r\n0\r\n\r\n"))
refuse("extension-endless", chunks(b"5;" + b"x" * 300000))
refuse("chunk-size-endless", chunks(b"0" * 100000))
refuse("chunk-size-zeros-many", chunks(b"0" * 5000 + b"5\r\nhello\r\n0\r\n\r\n"))
add("chunk-capitals", chunks(b"A\r\nhellohello\r\n0\r\n\r\n"), served(body=b"hellohello"))
add("chunk-small", chunks(b"a\r\nhellohello\r\n0\r\n\r\n"), served(body=b"hellohello"))
add("chunk-zeros", chunks(b"0000005\r\nhello\r\n000\r\n\r\n"), GOT_HELLO)
add("chunks-of-one", chunks(b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"),
    GOT_HELLO)
add("chunk-data-is-framing", chunks(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"), served(body=b"0\r\n\r\n"))
add("extension", chunks(b"5;a\r\nhello\r\n0;z\r\n\r\n"), GOT_HELLO)
add("extension-value", chunks(b"5;a=1;b=2\r\nhello\r\n0\r\n\r\n"), GOT_HELLO)
add("extension-quoted", chunks(b'5;a="x;y\\"z"\r\nhello\r\n0\r\n\r\n'), GOT_HELLO)
add("extension-1k", chunks(b"5;" + b"x" * 1000 + b"\r\nhello\r\n0\r\n\r\n"), GOT_HELLO)

# --- trailers: RFC 9110, 6.5; RFC 9112, 7.1.2 ----------------------------------------------------
BODY = b"5\r\nhello\r\n0\r\n"
refuse("trailer-nul", chunks(BODY + b"X: \x00\r\n\r\n"))
refuse("trailer-control", chunks(BODY + b"X: \x01\r\n\r\n"))
refuse("trailer-bare-cr", chunks(BODY + b"X: a\rb\r\n\r\n"))
refuse("trailer-bare-lf", chunks(BODY + b"X: a\nY: b\r\n\r\n"))
refuse("trailer-no-colon", chunks(BODY + b"novalue\r\n\r\n"))
refuse("trailer-space-colon", chunks(BODY + b"X : a\r\n\r\n"))
refuse("trailer-no-name", chunks(BODY + b": a\r\n\r\n"))
refuse("trailer-is-a-request", chunks(BODY + b"GET /smuggled HTTP/1.1\r\n\r\n"))
refuse("trailer-fold", chunks(BODY + b"X: a\r\n b\r\n\r\n"))
refuse("trailer-endless", chunks(BODY + b"X: y\r\n" * 50000), 400, 431)
for field in (b"Content-Length: 50", b"Transfer-Encoding: chunked", b"Host: evil", b"TE: trailers",
              b"Authorization: Bearer evil", b"Connection: close", b"Cookie: a=b", b"Expect: x",
              b"Content-Type: a/b", b"Range: bytes=0-1", b"X-Forwarded-For: 1.2.3.4",
              b"Upgrade: websocket", b"Trailer: X", b"Content-Encoding: gzip"):
    add(f"trailer-forbidden-{label(field.split(b':')[0])}", chunks(BODY + field + b"\r\n\r\n"),
        GOT_HELLO)

# --- Host and the target: RFC 9112, 3.2; RFC 9110, 7.2 -------------------------------------------
refuse("host-missing", head(b"GET /case HTTP/1.1", b""))
refuse("host-missing-others", head(b"GET /case HTTP/1.1", b"X: 1\r\n"))
refuse("host-twice", get(HOST + HOST))
refuse("host-twice-differs", get(HOST + b"Host: evil\r\n"))
refuse("host-missing-absolute", head(b"GET http://a/case HTTP/1.1", b""))
for value in (b"a b", b"a/b", b"a,b", b"user@a", b"a\x01b", b"a\x7fb", b"a:8a", b"a:-1", b"a:80:80",
              b"a#b", b"a?b", b"a\\b", b"a<b", b'a"b', b"http://a", b"a:99999", b"[::1", b"::1",
              b"a\tb",
              b"\xe9", b":80", b"[zz]", b"a, a", b"a;b c"):
    refuse(f"host-value-{label(value)}", get(b"Host: " + value + b"\r\n"))
for value in (b"a", b"a:80", b"[::1]", b"[::1]:8080", b"127.0.0.1:1", b"xn--bcher-kva.example",
              b"A.B.C"):
    add(f"host-ok-{label(value)}", get(b"Host: " + value + b"\r\n"), served(b"GET", host=value))
add("host-spaces", get(b"Host:   api.example.com  \r\n"), GOT)
add("host-last", get(b"X: 1\r\n" + HOST), served(b"GET", fields=[(b"x", b"1")]))
for target in (b"*", b"case", b"case/x", b"/case#x", b"#", b"/ca\x00se", b"/ca\x7fse", b"/ca\x01se",
               b"/ca\tse", b"/ca se", b"/case\x0b", b"http:///case", b"http://", b"http:/case",
               b"http:case", b"http://u:p@a/case", b"http://u@a/case", b"http://a b/case",
               b"ftp://a/case",
               b"http://[::1/case", b"http://a:b/case", b"a:443", b"?x", b"\\case", b"/caf\xe9"):
    refuse(f"target-{label(target)}", head(b"GET " + target + b" HTTP/1.1"))
refuse("target-options-path-star", head(b"OPTIONS *x HTTP/1.1"))
refuse("target-post-star", head(b"POST * HTTP/1.1"))
refuse("connect-authority", head(b"CONNECT a:443 HTTP/1.1", b"Host: a:443\r\n"), 400, 405, 501)
refuse("connect-path", head(b"CONNECT /case HTTP/1.1"), 400, 405, 501)
refuse("connect-absolute", head(b"CONNECT http://a/case HTTP/1.1"), 400, 405, 501)
add("target-options-star", head(b"OPTIONS * HTTP/1.1"), served(b"OPTIONS", b"*"))
add("target-query", head(b"GET /case?a=b&c=%20?/ HTTP/1.1"), served(b"GET", b"/case?a=b&c=%20?/"))
add("target-dots", head(b"GET /a/../case//./x HTTP/1.1"), served(b"GET", b"/a/../case//./x"))
add("target-double-slash", head(b"GET //evil.example.com/case HTTP/1.1"),
    served(b"GET", b"//evil.example.com/case"))
add("target-percent", head(b"GET /%2e%2e%2f%00%0d%0a HTTP/1.1"), served(b"GET",
                                                                        b"/%2e%2e%2f%00%0d%0a"))
for target, host, path in (
    (b"http://b.example.com/case", b"b.example.com", b"/case"),
    (b"HTTP://b.example.com/case", b"b.example.com", b"/case"),
    (b"http://b.example.com:81/case?x", b"b.example.com:81", b"/case?x"),
    (b"http://b.example.com", b"b.example.com", b"/"),
    (b"http://b.example.com?x", b"b.example.com", b"/?x"),
    (b"http://[::1]:9/case", b"[::1]:9", b"/case"),
):
    add(f"absolute-{label(target)}", head(b"GET " + target + b" HTTP/1.1"),
        served(b"GET", path, host))
add("target-options-absolute", head(b"OPTIONS http://b.example.com HTTP/1.1"),
    served(b"OPTIONS", b"*", b"b.example.com"))
add("target-8k", head(b"GET /" + b"x" * 8000 + b" HTTP/1.1"), served(b"GET", b"/" + b"x" * 8000))

# --- the request line: RFC 9112, 2.3 and 3; RFC 9110, 9.1 ----------------------------------------
for byte in b"\x00\x01\x1f\"(),/:;<=>?@[\\]{}\x7f\x80\xc9\xff":
    refuse(f"method-with-x{byte:02x}", head(b"GE%cT /case HTTP/1.1" % byte))
for version in (b"HTTP/1.10", b"HTTP/1.01", b"HTTP/01.1", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0",
                b"HTTP/0.9",
                b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1,1", b"HTTP/11", b"HTTP/1.x", b"HTTP",
                b"http/1.1", b"Http/1.1", b"ICE/1.0", b"RTSP/1.0", b"HTTP/ 1.1", b"HTTP /1.1",
                b"HTTP/1.1x",
                b"HTTP/-1.1", b"HTTP/1.1.1", b"HTTPS/1.1", b"SIP/2.0", b"HTTP\\1.1", b"XHTTP/1.1"):
    refuse(f"version-{label(version)}", head(b"GET /case " + version), 400, 505)
refuse("line-two-spaces", head(b"GET  /case HTTP/1.1"))
refuse("line-two-spaces-behind", head(b"GET /case  HTTP/1.1"))
refuse("line-tab", head(b"GET\t/case HTTP/1.1"))
refuse("line-tab-behind", head(b"GET /case\tHTTP/1.1"))
refuse("line-leading-space", b" " + get())
refuse("line-trailing-space", head(b"GET /case HTTP/1.1 "))
refuse("line-vertical-tab", head(b"GET\x0b/case HTTP/1.1"))
refuse("line-nbsp", head(b"GET\xa0/case HTTP/1.1"))
refuse("line-no-version", head(b"GET /case"), 400, 505)
refuse("line-method-only", head(b"GET"))
refuse("line-0.9", b"GET /case\r\n\r\n", 400, 505)
refuse("line-no-target", head(b"GET HTTP/1.1"))
refuse("line-empty-method", head(b" /case HTTP/1.1"))
refuse("line-extra-word", head(b"GET /case x HTTP/1.1"))
refuse("h2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505)
refuse("tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)))
refuse("garbage", b"\xff\xfe\xfd\r\n\r\n")
refuse("garbage-text", b"hello sluice\r\n\r\n")
refuse("response-as-request", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400, 505)
refuse("proxy-protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get())
for method in (b"PUT", b"PATCH", b"DELETE", b"PROPFIND", b"PURGE", b"M-SEARCH",
               b"QUERY", b"GETX", b"X-ODD", b"!#$%&'*+-.^_`|~"):
    add(f"method-{label(method)}", head(method + b" /case HTTP/1.1"), served(method))
add("1.2", head(b"GET /case HTTP/1.2"), GOT)  # RFC 9110, 2.5
# Case counts in a method (RFC 9110, 9.1): these are no GET.
for method in (b"get", b"Get", b"gET"):
    refuse(f"method-{label(method)}", head(method + b" /case HTTP/1.1"), 501)
add("1.0", head(b"GET /case HTTP/1.0"), GOT)
add("1.0-length", head(b"POST /case HTTP/1.0", HOST + CL % 5) + b"hello", GOT_HELLO)

# --- fields of the connection: RFC 9110, 7.6.1 ---------------------------------------------------
for name, value in ((b"Keep-Alive", b"timeout=5"), (b"Proxy-Connection", b"keep-alive"),
                    (b"TE", b"gzip"), (b"TE", b"trailers, deflate"), (b"Trailer", b"X-T"),
                    (b"Proxy-Authorization", b"Basic eDp5"), (b"Connection", b"keep-alive"),
                    (b"Upgrade", b"h2c"), (b"Upgrade", b"websocket"), (b"Upgrade", b"TLS/1.0")):
    add(f"hop-{label(name)}-{label(value)}",
        get(HOST + name + b": " + value + b"\r\nConnection: keep-alive\r\n"), GOT)
add("nominated", get(HOST + b"Connection: X-A, x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n"),
    served(b"GET", fields=[(b"x-c", b"3")]))
add("nominated-before-and-behind",
    get(HOST + b"X-A: 1\r\nConnection: x-a\r\nConnection: ,,X-B ,\r\nX-B: 2\r\n"), GOT)
for name in (b"Content-Length", b"Host", b"content-length,host"):
    add(f"nominated-{label(name)}", post(b"Connection: " + name + b"\r\n" + CL % 5, b"hello"),
        GOT_HELLO)
add("nominated-te", post(b"Connection: Transfer-Encoding\r\n" + TE, HELLO), GOT_HELLO)
add("nominated-te-close", post(b"Connection: Transfer-Encoding\r\nConnection: close\r\n" + TE,
                               HELLO),
    GOT_HELLO)
add("upgrade-h2c", get(HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                       b"HTTP2-Settings: AAMAAABk\r\n"), GOT)
add("upgrade-h2c-among", get(HOST + b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), GOT)
add("upgrade-not-nominated", get(HOST + b"Upgrade: websocket\r\n"), GOT)
add("upgrade-1.0", head(b"GET /case HTTP/1.0",
                        HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    GOT)
add("upgrade-with-body",
    post(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + CL % 5, b"hello"), GOT_HELLO)

# --- Expect: RFC 9110, 10.1.1 --------------------------------------------------------------------
refuse("expect-other", post(b"Expect: 200-ok\r\n" + CL % 5, b"hello"), 417)
refuse("expect-two", post(b"Expect: 100-continue, x\r\n" + CL % 5, b"hello"), 417)
add("expect-with-the-body", post(b"Expect: 100-continue\r\n" + CL % 5, b"hello"),
    served(fields=[(b"expect", b"100-continue")], body=b"hello"))
add("expect-capitals", post(b"Expect: 100-Continue\r\n" + CL % 5, b"hello"),
    served(fields=[(b"expect", b"100-Continue")], body=b"hello"))
add("expect-no-body", get(HOST + b"Expect: 100-continue\r\n"),
    served(b"GET", fields=[(b"expect", b"100-continue")]))

# --- sizes: RFC 9110, 5.4 and 15.5.15; RFC 6585, 5 -----------------------------------------------
refuse("head-endless", b"GET /case HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 50000, 431)
refuse("head-1m-field", get(HOST + b"X: " + b"x" * 1000000 + b"\r\n"), 431)
refuse("head-1m-name", get(HOST + b"x" * 1000000 + b": 1\r\n"), 431)
refuse("head-1m-target", head(b"GET /" + b"x" * 1000000 + b" HTTP/1.1"), 414, 431)
refuse("head-64k-target", head(b"GET /" + b"x" * 60000 + b" HTTP/1.1"), 414, 431)
refuse("head-1000-fields", get(HOST + b"X: y\r\n" * 1000), 431)
refuse("head-129-fields", get(HOST + b"X: y\r\n" * 128), 431)
refuse("method-endless", b"G" * 200000, 400, 414, 431)
add("head-60k-field", get(HOST + b"X: " + b"x" * 60000 + b"\r\n"),
    served(b"GET", fields=[(b"x", b"x" * 60000)]))
add("body-200k", post(CL % 200000, b"z" * 200000), served(body=b"z" * 200000))
refuse("chunks-500-with-extensions",
       chunks(b"".join(b"1;%s\r\nz\r\n" % (b"e" * 500) for _ in range(500)) + b"0\r\n\r\n"))

# --- a request that never comes to its end: RFC 9112, 8 ------------------------------------------
for name, wire in (("get", get(HOST + b"X: 1\r\n")), ("length", post(CL % 5, b"hello")),
                   ("chunked", chunks(b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"))):
    for cut in range(1, len(wire)):
        add(f"cut-{name}-{cut}", wire[:cut], Unfinished())
