"""Byte ranges, and bodies with several of them."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium_trio.http import MAX_RANGES, content_range, parse_byte_ranges, ranges_in_parts

LENGTH = 10_000


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        # RFC 9110, 14.1.2
        ("bytes=0-499", [range(500)]),
        ("bytes=500-999", [range(500, 1000)]),
        ("bytes=-500", [range(9500, 10000)]),
        ("bytes=9500-", [range(9500, 10000)]),
        ("bytes=0-0,-1", [range(1), range(9999, 10000)]),
        ("bytes= 0-999, 4500-5499, -1000", [range(1000), range(4500, 5500), range(9000, 10000)]),
        ("bytes=500-600,601-999", [range(500, 601), range(601, 1000)]),
        ("BYTES=0-0", [range(1)]),
        ("bytes=9999-", [range(9999, 10000)]),
        ("bytes=0-" + "9" * 5_000, [range(10000)]),
        ("bytes=" + "0" * 5_000 + "1-1", [range(1, 2)]),
        ("bytes=-" + "9" * 5_000, [range(10000)]),
        ("bytes=5-6,2-3", [range(5, 7), range(2, 4)]),
        ("bytes=,\t,1-2 , ", [range(1, 3)]),
        ("bytes=0-1,20000-", [range(2)]),
        # 416
        ("bytes=10000-", []),
        ("bytes=10000-20000,-0", []),
        ("bytes=-0", []),
        ("bytes=" + "9" * 5_000 + "-", []),
        # the whole content: these overlap
        ("bytes=500-700,601-999", None),
        ("bytes=0-,0-", None),
        ("bytes=5-10,0-9999", None),
        ("bytes=-1,-1", None),
        # the whole content: these are malformed, or of another unit
        ("bytes=2-1", None),
        ("bytes=0-1,2-1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes", None),
        ("bytes 0-1", None),
        ("bytes =0-1", None),
        ("bytes=0 - 1", None),
        ("bytes=+0-1", None),
        ("bytes=0x0-1", None),
        ("bytes=0-1;2-3", None),
        ("bytes=\xb2-3", None),
        ("bytes=--1", None),
        ("items=0-1", None),
        ("0-1", None),
        ("", None),
    ],
)
def test_cc_3_what_a_range_field_asks_for(text: str, ranges: list[range] | None) -> None:
    found = parse_byte_ranges(text, LENGTH)
    assert (None if found is None else list(found)) == ranges


def test_cc_3_there_is_a_bound_of_ranges() -> None:
    eight = ",".join(f"{2 * at}-{2 * at}" for at in range(MAX_RANGES))
    assert parse_byte_ranges(f"bytes={eight}", LENGTH) is not None
    assert parse_byte_ranges(f"bytes={eight},100-100", LENGTH) is None
    # What cannot be satisfied counts as well.
    assert parse_byte_ranges(f"bytes={eight},20000-", LENGTH) is None


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=-1", "bytes=5-6"])
def test_cc_3_without_content_there_are_no_ranges(text: str) -> None:
    assert parse_byte_ranges(text, 0) is None


SPECS = st.one_of(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map("{0[0]}-{0[1]}".format),
    st.integers(0, 30).map("{}-".format),
    st.integers(0, 30).map("-{}".format),
    st.text("0123456789-, ", max_size=5),
)


@given(st.lists(SPECS, max_size=10), st.integers(0, 25))
def test_cc_3_an_answer_is_never_longer_than_the_content(specs: list[str], length: int) -> None:
    ranges = parse_byte_ranges("bytes=" + ",".join(specs), length)
    if ranges is not None:
        positions = [position for each in ranges for position in each]
        assert len(positions) == len(set(positions))
        assert all(0 <= position < length for position in positions)
        assert all(len(each) for each in ranges)
        assert len(ranges) <= MAX_RANGES


@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", None])
def test_cc_3_parts_as_a_client_reads_them(content_type: str | None) -> None:
    content = bytes(range(256)) * 4
    ranges = [range(5), range(700, 1024), range(100, 101)]
    parts = ranges_in_parts(
        ranges, length=len(content), content_type=content_type, boundary="0123456789abcdef"
    )
    body = b"".join(
        each if isinstance(each, bytes) else content[each.start : each.stop] for each in parts
    )
    head = b"Content-Type: multipart/byteranges; boundary=0123456789abcdef\r\n\r\n"
    message = message_from_bytes(head + body)
    found = message.get_payload()
    assert isinstance(found, list)
    assert not message.defects
    for part, expected in zip(found, ranges, strict=True):
        assert isinstance(part, Message)
        assert part["content-range"] == content_range(expected, len(content))
        assert part["content-type"] == content_type
        assert part.get_payload(decode=True) == content[expected.start : expected.stop]
