"""Whatever a client sends, it does not get past a trusted proxy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property import _forwarded
from tests.property._forwarded import check_fields, check_proxy_header, client_of
from tests.spec.test_fw_proxy_protocol import REFUSED, TAKEN
from trillium_trio.codec import read_proxy_header
from trillium_trio.exceptions import BadRequest
from trillium_trio.handlers import Forwarded
from trillium_trio.handlers.forwarded import _fields

PROXIES = st.integers(1, 254).map("10.0.0.{}".format)
CLIENTS = st.sampled_from(["203.0.113.9", "2001:db8::9", "192.168.1.1", "127.0.0.1"])
WORDS = ["for=", "6.6.6.6", "10.0.0.1", '"', "\\", ",", ";", "=", " ", "[", "]:", "::1", "proto="]
WORDS += ["https", "host=evil", "unknown", "_x", "X=", "\xe9", "for=6.6.6.6", ', for="']
EVIL = st.lists(st.sampled_from(WORDS), max_size=12).map(lambda words: "".join(words).strip())
NAMES = ["Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host"]
LINES = st.lists(st.tuples(st.sampled_from([*NAMES, "X-Forwarded-Port"]), EVIL), max_size=4)


@given(LINES, CLIENTS, st.sampled_from([None, 1, 2]), st.booleans())
def test_an_untrusted_peer_changes_nothing(
    lines: list[tuple[str, str]], peer: str, hops: int | None, x_host: bool
) -> None:
    found = client_of(Forwarded(["10.0.0.0/8"], hops=hops, x_host=x_host), lines, peer)
    assert (found.ip, found.port, found.scheme, found.host) == (peer, 4711, "http", None)
    assert found.chain == (peer,)


@given(
    st.sampled_from(["Forwarded", "X-Forwarded-For"]),
    LINES,
    CLIENTS,
    st.lists(PROXIES, min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(["networks", "hops", "star", "auto"]),
)
def test_a_client_does_not_get_past_a_trusted_proxy(
    name: str,
    sent: list[tuple[str, str]],
    client: str,
    proxies: list[str],
    own_lines: bool,
    how: str,
) -> None:
    """Each proxy appends who has connected to it, to the last line or as a line of its own."""
    if name != "Forwarded":
        # This one is set by the first proxy, as it has to be.
        sent = [each for each in sent if each[0].lower() != "x-forwarded-proto"]
        sent.append(("X-Forwarded-Proto", "https"))
    lines = list(sent)
    for each in [client, *proxies[:-1]]:
        node = f'for="[{each}]"' if ":" in each else f"for={each}"
        entry = f"{node};proto=https;host=shop" if name == "Forwarded" else each
        last = max((at for at, (key, _) in enumerate(lines) if key == name), default=None)
        if own_lines or last is None:
            lines.append((name, entry))
        else:
            lines[last] = (name, f"{lines[last][1]}, {entry}")
    kind = "forwarded" if name == "Forwarded" else "x-forwarded"
    hops = len(proxies) if how == "hops" else None
    trust = ["*", "10.0.0.0/8"] if how == "star" else ["*"] if how == "hops" else ["10.0.0.0/8"]
    if how == "auto":
        try:
            found = client_of(Forwarded(trust), lines, proxies[-1])
        except BadRequest:
            # It has sent the other kind, which harms nobody but itself.
            others = {"x-forwarded-for", "x-forwarded-proto"}
            others = others if name == "Forwarded" else {"forwarded"}
            assert any(key.lower() in others for key, _ in sent)
            return
    else:
        found = client_of(Forwarded(trust, hops=hops, header=kind), lines, proxies[-1])  # type: ignore[arg-type]  # one of them
    assert found.chain == (client, *proxies)
    assert (found.ip, found.scheme) == (client, "https")
    assert found.host == ("shop" if name == "Forwarded" else None)


@given(st.one_of(EVIL, st.text(st.characters(codec="latin-1", categories=["L", "P", "S", "Zs"]))))
def test_every_value_is_read(value: str) -> None:
    check_fields(value)


def test_a_reader_from_the_left_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_the_left(value: str) -> object:
        return iter([*_fields._split(value)][::-1])

    monkeypatch.setattr(_fields, "_entries", from_the_left)
    with pytest.raises(AssertionError):
        check_fields("for=6.6.6.6")


HEADERS = [header for header, _ in (*TAKEN.values(), *REFUSED.values())]


@given(
    st.sampled_from(HEADERS),
    st.integers(0, 60),
    st.binary(max_size=3),
    st.binary(max_size=20),
)
def test_a_proxys_header_reads_the_same_however_it_is_cut(
    header: bytes, at: int, mangled: bytes, rest: bytes
) -> None:
    # Those at the limit are in the tests of the clause: byte by byte they take too long here.
    header = header[:300]
    check_proxy_header(header[:at] + mangled + header[at + len(mangled) :] + rest)


def test_a_reader_that_takes_too_much_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    header, _ = TAKEN["v1"]
    check_proxy_header(header + b"GET /")
    read = read_proxy_header

    def greedy(data: bytes) -> object:
        found = read(data)
        return found and (found[0], len(data))

    monkeypatch.setattr(_forwarded, "read_proxy_header", greedy)
    with pytest.raises(AssertionError):
        check_proxy_header(header + b"GET /")
