"""What Http11Probe sends and which answers it takes: the 161 cases that it scores.

Http11Probe (github.com/MDA2AV/Http11Probe; its repository shows no licence) probes a running server
from outside. Only facts are taken from it: the names of its cases, the bytes and what they are
scored by, as its sources had it in 2026. Its scored sequences are decided by their first request.

What a case wants is written as answers that pass and, behind ``|``, answers that are as good as the
RFCs ask for and worth a warning; anything else fails:

.. code-block:: text

    400  2xx  *  !414       this status, one of these, any, any but this
    close                   no answer, and the connection has ended
    silence                 no answer, and it has not
    400+close               this, and then the end of the connection
    400+alone               this, and no second answer
    2xx+date  2xx-date      this, with that field or without
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "Host: localhost"
END = "\r\n\r\n"

# Where our answer fails the case on purpose.
DIFFERENCES = {
    "COMP-HOST-EMPTY-VALUE": "An empty Host is legal (RFC 9110, 7.2).",
    "MAL-LONG-METHOD": (
        "A head that is too large is answered 431, whatever of it is too large (RFC 6585, 5); "
        "400 is wanted, where RFC 9112, 3 names 501."
    ),
}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One case: its bytes, and the answers that are wanted.

    Attributes:
      body: What the body of a 2xx has to be, or None.
    """

    id: str
    data: bytes
    wants: str
    body: bytes | None = None


def _get(*lines: str, start: str = "GET / HTTP/1.1") -> str:
    return "\r\n".join([start, HOST, *lines]) + END


def _post(*lines: str, body: str = "", start: str = "POST / HTTP/1.1") -> str:
    return _get(*lines, start=start) + body


def _line(start: str) -> str:
    return _get(start=start)


def _raw(*lines: str) -> str:
    return "\r\n".join(lines) + END


def _length(value: str, body: str = "hello") -> str:
    return _post(f"Content-Length: {value}", body=body)


def _coding(value: str, *lines: str) -> str:
    """A transfer coding beside a length of five."""
    return _post(f"Transfer-Encoding: {value}", *lines, "Content-Length: 5", body="hello")


def _chunked(body: str, *lines: str) -> str:
    return _post("Transfer-Encoding: chunked", *lines, body=body)


def _websocket(start: str, *lines: str, version: str = "13") -> str:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    fields = ["Upgrade: websocket", key, f"Sec-WebSocket-Version: {version}"]
    return _get(*lines, *fields, start=start)


def _smuggled(*lines: str, inner: str = "GET") -> str:
    """Another request behind the last chunk, within the length: ``{n}`` in the lines."""
    body = "0" + END + _line(f"{inner} / HTTP/1.1")
    return _post(*(line.format(n=len(body)) for line in lines), body=body)


def _smuggled_in_chunk() -> str:
    inner = _get("Content-Length: 7")
    size = f"{len(inner):x}"
    body = f"{size}\r\n{inner}\r\n0{END}"
    return _chunked(body, f"Content-Length: {len(size) + 2}")


def _smuggled_behind_length() -> str:
    body = "PING" + _get()
    return _post("Content-Length: 4", f"Content-Length: {len(body)}", body=body)


# 256 bytes of noise, the same in each run.
_NOISE = bytes.fromhex(
    "3e17ba96ae04cd3b99869e56f0adbf3a6fb74d2555175dcc6e8b0914579ab036cfd6280bb3c707dbaef270dc9505096e"
    "676be7f10d46d827baed2722fbb9e4fed667871a85b386a8af727663a7813769819aadebb3bf2989fd0051c69fe4e0f5"
    "0e71052d7eefe9b3e53e429bcf758038b5bea0600bf84a173efd1d8462c009ca918154357b0aea92b1fa06747c8eb987"
    "801810e04480ea1527eeee80d26451253577094e204bbdabd40dae11f2d59ab044950349af288611963f0d8c1b69c04c"
    "a8e03f05846b67345a650c36d1d82251543e3c3c6007750cf1f8b7e03d31906a4d61681296942bd82dcfef4a1c503fbe"
    "1dbc37dc2c83eba16a32148bb486f728"
).decode("latin-1")

_LF_BODY = "0\r\n\n"
_FINAL = "\r\n0" + END

# By what they want: the name of each case and its bytes, as latin-1.
_CASES: dict[str, dict[str, str]] = {
    "400": {
        "RFC9112-5.1-OBS-FOLD": _get("X-Test: value", " continued"),
        "RFC9110-5.6.2-SP-BEFORE-COLON": _get("X-Test : value"),
        "RFC9112-7.1-MISSING-HOST": _raw("GET / HTTP/1.1"),
        "RFC9112-3-CR-ONLY-LINE-ENDING": f"GET / HTTP/1.1\r{HOST}{END}",
        "RFC9110-5.4-DUPLICATE-HOST": _get("Host: other.example.com"),
        "COMP-DUPLICATE-HOST-SAME": _get(HOST),
    },
    "400 close": {
        "RFC9112-5-EMPTY-HEADER-NAME": _get(": empty-name"),
        "RFC9112-3-MISSING-TARGET": _line("GET HTTP/1.1"),
        "RFC9112-5-INVALID-HEADER-NAME": _get("Bad[Name: value"),
        "RFC9112-5-HEADER-NO-COLON": _get("NoColonHere"),
        "RFC9112-6.1-CL-NON-NUMERIC": _length("abc", body=""),
        "RFC9112-6.1-CL-PLUS-SIGN": _length("+5"),
        "COMP-WHITESPACE-BEFORE-HEADERS": _raw("GET / HTTP/1.1", " ", HOST),
        "COMP-HOST-WITH-USERINFO": _raw("GET / HTTP/1.1", "Host: user@localhost"),
        "COMP-HOST-WITH-PATH": _raw("GET / HTTP/1.1", "Host: localhost/path"),
        "COMP-HOST-EMPTY-VALUE": _raw("GET / HTTP/1.1", "Host: "),
        "COMP-ASTERISK-WITH-GET": _line("GET * HTTP/1.1"),
        "COMP-VERSION-MISSING-MINOR": _line("GET / HTTP/1"),
        "COMP-VERSION-LEADING-ZEROS": _line("GET / HTTP/01.01"),
        "COMP-VERSION-WHITESPACE": _line("GET / HTTP/ 1.1"),
        "COMP-VERSION-CASE": _line("GET / http/1.1"),
        "COMP-SPACE-IN-TARGET": _line("GET /pa th HTTP/1.1"),
        "SMUG-DUPLICATE-CL": _post("Content-Length: 5", "Content-Length: 10", body="helloworld"),
        "SMUG-TE-SP-BEFORE-COLON": _post(
            "Transfer-Encoding : chunked", "Content-Length: 5", body="hello"
        ),
        "SMUG-CL-NEGATIVE": _length("-1", body=""),
        "SMUG-CL-NEGATIVE-ZERO": _length("-0", body=""),
        "SMUG-CL-COMMA-DIFFERENT": _length("5, 10"),
        "SMUG-CL-OCTAL": _length("0o5"),
        "SMUG-CL-HEX-PREFIX": _length("0x5"),
        "SMUG-CL-INTERNAL-SPACE": _length("1 0", body="hello12345"),
        "SMUG-CL-UNDERSCORE": _length("1_0", body="helloworld"),
        "SMUG-TE-NOT-FINAL-CHUNKED": _post("Transfer-Encoding: chunked, gzip", body="0" + END),
        "SMUG-TE-HTTP10": _post(
            "Transfer-Encoding: chunked", "Content-Length: 5", body="hello", start="POST / HTTP/1.0"
        ),
        "SMUG-TE-EMPTY-VALUE": _coding(""),
        "SMUG-TE-DUPLICATE-HEADERS": _coding("chunked", "Transfer-Encoding: identity"),
        "SMUG-TE-VTAB": _coding("\x0bchunked"),
        "SMUG-TE-FORMFEED": _coding("\x0cchunked"),
        "SMUG-TE-NULL": _coding("chunked\0"),
        "SMUG-BARE-CR-HEADER-VALUE": _post("Content-Length: 5", "X-Test: val\rue", body="hello"),
        "SMUG-MULTIPLE-HOST-COMMA": _raw("GET / HTTP/1.1", "Host: localhost, other.example.com"),
        "SMUG-CHUNK-BARE-SEMICOLON": _chunked("5;\r\nhello" + _FINAL),
        "SMUG-CHUNK-EXT-INVALID-TOKEN": _chunked("5;bad[=x\r\nhello" + _FINAL),
        "SMUG-CHUNK-EXT-CTRL": _chunked("5;\0ext\r\nhello" + _FINAL),
        "SMUG-CHUNK-EXT-CR": _chunked("5;a\rX\r\nhello" + _FINAL),
        "SMUG-CHUNK-UNDERSCORE": _chunked("1_0\r\nhello world!!!!!" + _FINAL),
        "SMUG-CHUNK-HEX-PREFIX": _chunked("0x5\r\nhello" + _FINAL),
        "SMUG-CHUNK-SIZE-PLUS": _chunked("+5\r\nhello" + _FINAL),
        "SMUG-CHUNK-SIZE-TRAILING-OWS": _chunked("5 \r\nhello" + _FINAL),
        "SMUG-CHUNK-LEADING-SP": _chunked(" 5\r\nhello" + _FINAL),
        "SMUG-CHUNK-NEGATIVE": _chunked("-1\r\nhello" + _FINAL),
        "SMUG-CHUNK-MISSING-TRAILING-CRLF": _chunked("5\r\nhello0" + END),
        "SMUG-CHUNK-SPILL": _chunked("5\r\nhello!!" + _FINAL),
        "SMUG-CHUNK-BARE-CR-TERM": _chunked("5\rhello" + _FINAL),
        "MAL-NUL-IN-URL": _line("GET /\0test HTTP/1.1"),
        "MAL-NUL-IN-HEADER-VALUE": _get("X-Test: val\0ue"),
        "MAL-CONTROL-CHARS-HEADER": _get("X-Test: abc\x07\x08\x0bdef"),
        "MAL-NON-ASCII-HEADER-NAME": _get("X-T\xc3\xabst: value"),
        "MAL-NON-ASCII-URL": _line("GET /caf\xc3\xa9 HTTP/1.1"),
        "MAL-URL-OVERLONG-UTF8": _line("GET /\xc0\xaf HTTP/1.1"),
        "MAL-CL-OVERFLOW": _length("99999999999999999999", body=""),
        "MAL-CL-EMPTY": _length("", body=""),
        "MAL-CHUNK-SIZE-OVERFLOW": _chunked("FFFFFFFFFFFFFFFF0\r\nhello" + _FINAL),
        "MAL-LONG-METHOD": _line("A" * 100_000 + " / HTTP/1.1"),
    },
    "400 431 close": {
        "MAL-LONG-HEADER-VALUE": _get("X-Big: " + "B" * 100_000),
        "MAL-LONG-HEADER-NAME": _get("A" * 100_000 + ": val"),
        "MAL-MANY-HEADERS": _get(*(f"X-H-{n}: value" for n in range(10_000))),
    },
    "400 414 431 close": {"MAL-LONG-URL": _line("GET /" + "A" * 100_000 + " HTTP/1.1")},
    "400 431 close | 2xx": {
        "MAL-CHUNK-EXT-64K": _chunked(f"5;ext={'a' * 65_536}\r\nhello{_FINAL}")
    },
    "400 505 close": {"RFC9112-2.3-INVALID-VERSION": _line("GET / HTTP/9.9")},
    "400 501 close": {
        "COMP-UNKNOWN-TE-501": _post("Transfer-Encoding: gzip"),
        "SMUG-TE-XCHUNKED": _coding("xchunked"),
        "SMUG-TE-IDENTITY": _coding("identity"),
    },
    "400 405 501 close": {
        "COMP-METHOD-CONNECT": _raw("CONNECT example.com:443 HTTP/1.1", "Host: example.com:443"),
    },
    "400 405 501 close | 2xx": {
        "COMP-METHOD-CASE": _line("get / HTTP/1.1"),
        "COMP-UNKNOWN-METHOD": _line("FOOBAR / HTTP/1.1"),
    },
    "400 close | 2xx": {
        "RFC9112-2.2-BARE-LF-REQUEST-LINE": f"GET / HTTP/1.1\n{HOST}{END}",
        "RFC9112-2.2-BARE-LF-HEADER": f"GET / HTTP/1.1\r\n{HOST}\nX-Test: value{END}",
        "RFC9112-3-MULTI-SP-REQUEST-LINE": _line("GET  / HTTP/1.1"),
        "RFC9112-3.2-FRAGMENT-IN-TARGET": _line("GET /path#frag HTTP/1.1"),
        "COMP-LEADING-CRLF": END + _get(),
        "COMP-REQUEST-LINE-TAB": _line("GET\t/ HTTP/1.1"),
        "COMP-DUPLICATE-CT": _post(
            "Content-Length: 5",
            "Content-Type: text/plain",
            "Content-Type: text/html",
            body="hello",
        ),
        "SMUG-CL-TE-BOTH": _post(
            "Content-Length: 23",
            "Transfer-Encoding: chunked",
            body="D\r\nhello-bananas" + _FINAL,
        ),
        "SMUG-CL-LEADING-ZEROS": _length("005"),
        "SMUG-CL-TRAILING-SPACE": _length("5 "),
        "SMUG-CL-EXTRA-LEADING-SP": _length(" 5"),
        "SMUG-CL-DOUBLE-ZERO": _length("00", body=""),
        "SMUG-CL-LEADING-ZEROS-OCTAL": _length("0200", body="A" * 200),
        "SMUG-TE-DOUBLE-CHUNKED": _coding("chunked, chunked"),
        "SMUG-TE-CASE-MISMATCH": _coding("Chunked"),
        "SMUG-TE-LEADING-COMMA": _coding(", chunked"),
        "SMUG-TE-TRAILING-COMMA": _coding("chunked,"),
        "SMUG-CHUNK-EXT-LF": _chunked("5;\nhello" + _FINAL),
        "SMUG-CHUNK-LF-TERM": _chunked("5\r\nhello\n0" + END),
        "SMUG-CHUNK-LF-TRAILER": _chunked("5\r\nhello\r\n" + _LF_BODY),
        "MAL-CL-TAB-BEFORE-VALUE": _post("Content-Length:\t5", body="hello"),
    },
    "400 close | 2xx 3xx 4xx": {
        "MAL-URL-BACKSLASH": _line("GET /path\\file HTTP/1.1"),
        "MAL-URL-PERCENT-NULL": _line("GET /path%00.html HTTP/1.1"),
        "MAL-URL-PERCENT-CRLF": _line("GET /path%0d%0aX-Injected:%20true HTTP/1.1"),
    },
    "400 501 close | 2xx+close": {"SMUG-TE-TRAILING-SPACE": _coding("chunked ")},
    "400 close | 2xx+close": {
        "SMUG-TE-OBS-FOLD": _post(
            "Transfer-Encoding:", " chunked", "Content-Length: 5", body="hello"
        )
    },
    "400 close *+close | 2xx": {
        "SMUG-CLTE-PIPELINE": _post(
            "Content-Length: 4", "Transfer-Encoding: chunked", body="0" + END
        ),
        "SMUG-TECL-PIPELINE": _chunked("0" + END, "Content-Length: 30"),
    },
    "400 close *+close": {
        "SMUG-CLTE-CONN-CLOSE": _post(
            "Content-Length: 5", "Transfer-Encoding: chunked", body="0" + END
        ),
        "SMUG-TECL-CONN-CLOSE": _chunked("0" + END, "Content-Length: 5"),
        "SMUG-CLTE-DESYNC": _post(
            "Content-Length: 6", "Transfer-Encoding: chunked", body=f"0{END}X"
        ),
        "SMUG-TECL-DESYNC": _chunked(f"0{END}X", "Content-Length: 30"),
        "SMUG-OPTIONS-TE-OBS-FOLD": _post(
            "Transfer-Encoding:",
            " chunked",
            "Content-Length: 5",
            body="hello",
            start="OPTIONS / HTTP/1.1",
        ),
        "SMUG-CHUNK-INVALID-SIZE-DESYNC": _chunked(f"+0{END}X"),
    },
    "400+alone close *+close+alone": {
        "SMUG-CLTE-SMUGGLED-GET": _smuggled("Content-Length: {n}", "Transfer-Encoding: chunked"),
        "SMUG-CLTE-SMUGGLED-GET-CL-PLUS": _smuggled(
            "Content-Length: +{n}", "Transfer-Encoding: chunked"
        ),
        "SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC": _smuggled(
            "Content-Length: {n}x", "Transfer-Encoding: chunked"
        ),
        "SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD": _smuggled(
            "Transfer-Encoding:", " chunked", "Content-Length: {n}"
        ),
        "SMUG-CLTE-SMUGGLED-HEAD": _smuggled(
            "Content-Length: {n}", "Transfer-Encoding: chunked", inner="HEAD"
        ),
        "SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE": _smuggled(
            "Content-Length: {n}", "Transfer-Encoding: chunked "
        ),
        "SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA": _smuggled(
            "Content-Length: {n}", "Transfer-Encoding: , chunked"
        ),
        "SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH": _smuggled(
            "Content-Length: {n}", "Transfer-Encoding: Chunked"
        ),
        "SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET": _smuggled(
            "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Content-Length: {n}"
        ),
        "SMUG-TECL-SMUGGLED-GET": _smuggled_in_chunk(),
        "SMUG-DUPLICATE-CL-SMUGGLED-GET": _smuggled_behind_length(),
    },
    "400 close silence": {
        "RFC9112-2.3-HTTP09-REQUEST": "GET /\r\n",
        "COMP-POST-CL-UNDERSEND": _length("10"),
        "COMP-CHUNKED-NO-FINAL": _chunked("5\r\nhello\r\n"),
        "MAL-BINARY-GARBAGE": _NOISE,
        "MAL-INCOMPLETE-REQUEST": f"GET / HTTP/1.1\r\n{HOST}\r\nX-Test: value",
        "MAL-EMPTY-REQUEST": "",
        "MAL-WHITESPACE-ONLY-LINE": "   " + END,
    },
    "400 505 close silence": {"MAL-H2-PREFACE": f"PRI * HTTP/2.0{END}SM{END}"},
    "400 413 close silence": {"MAL-POST-CL-HUGE-NO-BODY": _length("999999999", body="")},
    "2xx": {
        "COMP-BASELINE": _get(),
        "COMP-OPTIONS-STAR": _line("OPTIONS * HTTP/1.1"),
        "COMP-RANGE-POST": _post("Content-Length: 5", "Range: bytes=0-10", body="hello"),
    },
    "2xx close": {
        "COMP-POST-CL-ZERO": _length("0", body=""),
        "COMP-POST-NO-CL-NO-TE": _post(),
        "COMP-CHUNKED-EMPTY": _chunked("0" + END),
    },
    "2xx+alone": {"COMP-HEAD-NO-BODY": _line("HEAD / HTTP/1.1")},
    "2xx+close": {"COMP-CONNECTION-CLOSE": _get("Connection: close")},
    "2xx+close | 2xx": {"COMP-HTTP10-DEFAULT-CLOSE": _line("GET / HTTP/1.0")},
    "2xx+date": {"COMP-DATE-HEADER": _get()},
    "2xx+content-type | 2xx": {"COMP-CONTENT-TYPE": _get()},
    "2xx+allow | 2xx": {"COMP-OPTIONS-ALLOW": _line("OPTIONS / HTTP/1.1")},
    "204-content-length | !204": {"COMP-NO-CL-IN-204": _line("OPTIONS / HTTP/1.1")},
    "405+allow | !405": {"COMP-405-ALLOW": _line("DELETE / HTTP/1.1")},
    "417 close | 2xx": {"COMP-EXPECT-UNKNOWN": _get("Expect: 200-ok")},
    "!414": {"COMP-LONG-URL-OK": _line("GET /" + "a" * 7900 + " HTTP/1.1")},
    "2xx 3xx 4xx 5xx close": {
        "COMP-UPGRADE-POST": _websocket("POST / HTTP/1.1", "Connection: Upgrade"),
        "COMP-UPGRADE-MISSING-CONN": _websocket("GET / HTTP/1.1"),
        "COMP-UPGRADE-UNKNOWN": _get("Connection: Upgrade", "Upgrade: totally-made-up/1.0"),
        "COMP-UPGRADE-HTTP10": _websocket("GET / HTTP/1.0", "Connection: Upgrade"),
    },
    "3xx 4xx 5xx close | 2xx": {
        "COMP-UPGRADE-INVALID-VER": _websocket(
            "GET / HTTP/1.1", "Connection: Upgrade", version="99"
        ),
    },
    "2xx 3xx 4xx 5xx close silence": {
        "COMP-NO-1XX-HTTP10": _post(
            "Expect: 100-continue", "Content-Length: 5", body="hello", start="POST / HTTP/1.0"
        ),
    },
    "4xx 5xx close": {
        "NORM-SP-BEFORE-COLON-CL": _post(
            "Content-Length: 11",
            "Content-Length : 5",
            body="hello world",
            start="POST /echo HTTP/1.1",
        ),
        "NORM-TAB-IN-NAME": _post(
            "Content-Length: 11",
            "Content\tLength: 99",
            body="hello world",
            start="POST /echo HTTP/1.1",
        ),
    },
}

# The same, for those whose 2xx has to have a certain body.
_ECHOES: dict[str, dict[str, tuple[str, str]]] = {
    "2xx": {
        "COMP-POST-CL-BODY": (_length("5"), "hello"),
        "COMP-CHUNKED-BODY": (_chunked("5\r\nhello" + _FINAL), "hello"),
        "COMP-CHUNKED-MULTI": (_chunked("5\r\nhello\r\n6\r\n world" + _FINAL), "hello world"),
        "COMP-CHUNKED-TRAILER-VALID": (
            _chunked(f"5\r\nhello\r\n0\r\nX-Checksum: abc{END}"),
            "hello",
        ),
        "COMP-CHUNKED-HEX-UPPERCASE": (_chunked("A\r\nhelloworld" + _FINAL), "helloworld"),
    },
    "2xx | 400 close": {
        "COMP-CHUNKED-EXTENSION": (_chunked("5;ext=value\r\nhello" + _FINAL), "hello"),
    },
    # The fields as the handler sees them: one by another name must not have become the framing one.
    "4xx 5xx close | 2xx": {
        "NORM-UNDERSCORE-CL": (
            _post(
                "Content-Length: 11",
                "Content_Length: 99",
                body="hello world",
                start="POST /echo HTTP/1.1",
            ),
            "Host: localhost\nContent-Length: 11\nContent_Length: 99\n",
        ),
        "NORM-UNDERSCORE-TE": (
            _post(
                "Transfer_Encoding: chunked",
                body="B\r\nhello world" + _FINAL,
                start="POST /echo HTTP/1.1",
            ),
            "Host: localhost\nTransfer_Encoding: chunked\n",
        ),
    },
}


def _all() -> Iterator[Probe]:
    for wants, cases in _CASES.items():
        for name, data in cases.items():
            yield Probe(id=name, data=data.encode("latin-1"), wants=wants)
    for wants, echoes in _ECHOES.items():
        for name, (data, body) in echoes.items():
            yield Probe(id=name, data=data.encode("latin-1"), wants=wants, body=body.encode())


PROBES = tuple(sorted(_all(), key=lambda probe: probe.id))
