"""Strategies for what arrives: regular messages, odd ones, and broken ones."""

from __future__ import annotations

import re

from hypothesis import strategies as st

# Small alphabets on purpose: what is interesting is made of a few bytes, and has to come up often.
TOKENS = st.text("abGET-_!~09", min_size=1, max_size=6).map(str.encode)
VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
OBS_TEXT = st.text("aZ \t,;\xe9\x80\xff\x85", max_size=8)
VALUES = (VISIBLE | OBS_TEXT).map(lambda text: text.encode("latin-1"))
SPACE = st.sampled_from([b"", b" ", b"\t", b"  "])

TARGETS = st.sampled_from(
    [
        b"/",
        b"/a/b?c=d",
        b"//x",
        b"*",
        b"http://h/a",
        b"http://h",
        b"h:1",
        b"/#",
        b"/\\",
        b"/\xe9",
        b"",
    ]
)
REGULAR_TARGETS = VISIBLE.map(lambda text: b"/" + text.replace(" ", "").encode())
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1"])
METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT"]) | TOKENS

FRAMING = st.sampled_from(
    [
        b"Content-Length: 5",
        b"content-length:0",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"transfer-encoding: gzip, chunked",
        b"Transfer-Encoding: xchunked",
        b"Connection: close",
        b"connection: Keep-Alive",
        b"Connection: upgrade, x",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"Expect: other",
        b"Host: other",
        b"Host:",
        b"Host : h",
        b" folded",
    ]
)


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """A field of any name and value."""
    return draw(TOKENS) + b":" + draw(SPACE) + draw(VALUES) + draw(SPACE)


@st.composite
def regular_heads(draw: st.DrawFn) -> bytes:
    """Heads as most clients send them: the regular lane takes most."""
    method = draw(st.sampled_from([b"GET", b"POST", b"CONNECTS"]))
    target = draw(REGULAR_TARGETS)
    version = draw(st.sampled_from([b"1.1", b"1.0"]))
    lines = draw(st.lists(fields(), max_size=6))
    host = draw(st.sampled_from([b"Host: h", b"host:example.com:80", b"HOST:\t"]))
    lines.insert(draw(st.integers(0, len(lines))), host)
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), draw(FRAMING))
    return b"\r\n".join([method + b" " + target + b" HTTP/" + version, *lines, b"", b""])


@st.composite
def odd_heads(draw: st.DrawFn) -> bytes:
    """Heads of which about half are legal."""
    line = draw(METHODS) + b" " + draw(TARGETS | REGULAR_TARGETS) + b" " + draw(VERSIONS)
    lines = [b"Host: h"] * draw(st.sampled_from([1, 1, 1, 0, 2]))
    lines += draw(st.lists(FRAMING | fields(), max_size=4))
    return b"\r\n".join([line, *draw(st.permutations(lines)), b"", b""])


NOISE = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b"\xe9", b"0", b";", b"\x0b"]
)


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Messages with a few bytes inserted, lost or repeated."""
    data = draw(messages)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.sampled_from([0, 0, 1, 2]))
        data = data[:at] + draw(NOISE | st.just(b"") | st.just(data[at:end] * 2)) + data[end:]
    return data


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cut the same bytes into pieces."""
    ends = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


SPACE_BEFORE_EXTENSION = re.compile(rb"[0-9A-Fa-f][ \t]+;")


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """Chunked bodies, mostly well-formed."""
    data = b""
    extension = st.sampled_from(
        [b""] * 5 + [b";a", b" ;a", b'; a="b;\\"c"', b";a=b;c", b" ", b";", b";\x00"]
    )
    size = st.sampled_from([b"%x", b"%X", b"%x", b"0%x", b"+%x", b"%x "])
    for piece in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)):
        data += draw(size) % len(piece) + draw(extension) + b"\r\n" + piece + b"\r\n"
    data += draw(st.sampled_from([b"0", b"0", b"00", b""])) + draw(extension) + b"\r\n"
    trailers = st.sampled_from(
        [b"Checksum: a", b"x:", b"Vary: a", b"Host: h", b"a : b", b"Content-Length: 1"]
    )
    for trailer in draw(st.lists(trailers | fields(), max_size=2)):
        data += trailer + b"\r\n"
    return data + b"\r\n" + draw(st.binary(max_size=4))
