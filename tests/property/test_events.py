"""Server-sent events: whatever is encoded, a browser reads the same, however it is cut."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from trillium_trio.handlers import Event
from trillium_trio.testing import EventParser

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = text.filter(lambda value: not re.search(r"[\r\n\0]", value))
events = st.builds(
    Event,
    data=text,
    id=st.none() | names.filter(bool),
    event=st.none() | names.filter(bool),
    retry=st.none() | st.integers(0, 100_000).map(lambda number: number / 1000),
    comment=st.none() | text,
)


@given(st.lists(events, max_size=5), st.lists(st.integers(1, 20), max_size=30))
def test_what_is_encoded_is_read_alike_however_it_is_cut(
    given_events: list[Event], cuts: list[int]
) -> None:
    data = b"".join(event.encode() for event in given_events)
    parser, read = EventParser(), []
    for size in [*cuts, len(data)]:
        read += parser.feed(data[:size])
        data = data[size:]
    last_id = None
    for each, event in zip(read, given_events, strict=True):
        last_id = event.id if event.id is not None else last_id
        assert each.data == "\n".join(re.split(r"\r\n|\r|\n", event.data or ""))
        assert each.event == event.event
        assert each.id == last_id
    retries = [event.retry for event in given_events if event.retry is not None]
    assert parser.retry == (retries[-1] if retries else None)


@given(st.binary(max_size=200))
def test_the_parser_takes_anything(data: bytes) -> None:
    whole, pieces = EventParser(), EventParser()
    expected = whole.feed(data)
    assert [event for byte in data for event in pieces.feed(bytes([byte]))] == expected
