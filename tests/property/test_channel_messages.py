"""The wire format of channels: whatever a client sends, it is a message or it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium_trio.exceptions import BadRequest
from trillium_trio.handlers.channels._message import Message, Outgoing, Version, decode, encode

VERSIONS = st.sampled_from(Version)
NAMES = st.text(min_size=1, max_size=60)
REFS = st.none() | st.text("0123456789", min_size=1, max_size=10)
PAYLOADS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half a surrogate pair is JSON, too.
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def as_client(message: Message, version: Version) -> str:
    """Write a message as a client does."""
    if version is Version.V2:
        value: object = [
            message.join_ref,
            message.ref,
            message.topic,
            message.event,
            message.payload,
        ]
    else:
        value = {name: getattr(message, name) for name in Message.__slots__ if name != "status"}
    return json.dumps(value)


@given(topic=NAMES, event=NAMES, payload=PAYLOADS, ref=REFS, join_ref=REFS, version=VERSIONS)
def test_ch_1_what_a_client_sends_can_be_sent_to_all(
    topic: str, event: str, payload: Any, ref: str | None, join_ref: str | None, version: Version
) -> None:
    sent = Message(topic=topic, event=event, payload=payload, ref=ref, join_ref=join_ref)
    got = decode(as_client(sent, version), version)
    assert got == sent
    outgoing = Outgoing(got)
    for other in Version:
        assert outgoing.fits(other)
        data = outgoing.encoded(other)
        assert outgoing.encoded(other) is data
        again = decode(data, other)
        assert again.payload == ({} if payload is None else payload)
        assert (again.topic, again.event, again.ref) == (topic, event, ref)


@given(data=st.binary(max_size=300) | st.text(max_size=300), version=VERSIONS)
@example(data="[" * 100_000, version=Version.V2)
@example(data="9" * 5_000, version=Version.V1)
@example(data=b"\x00\x00\x00\x01\x01te", version=Version.V2)
def test_ch_1_anything_is_a_message_or_refused(data: str | bytes, version: Version) -> None:
    try:
        message = decode(data, version)
    except BadRequest:
        return
    encode(message, version)


@given(
    payload=st.binary(max_size=100),
    status=st.sampled_from([None, "ok", "error"]),
    join_ref=REFS,
    topic=NAMES,
    event=NAMES,
)
def test_ch_1_binary_messages_say_how_long_their_names_are(
    payload: bytes, status: str | None, join_ref: str | None, topic: str, event: str
) -> None:
    message = Message(topic=topic, event=event, payload=payload, status=status, join_ref=join_ref)
    data = encode(message, Version.V2)
    assert isinstance(data, bytes)
    kind = 1 if status else 0 if join_ref else 2
    assert data[0] == kind
    count = {0: 3, 1: 4, 2: 2}[kind]
    names, at = [], 1 + count
    for length in data[1 : 1 + count]:
        names.append(data[at : at + length].decode())
        at += length
    assert data[at:] == payload
    join = join_ref or ""
    assert (
        names
        == {
            0: [join, topic, event],
            1: [join, "", topic, status],
            2: [topic, event],
        }[kind]
    )
    with pytest.raises(TypeError):
        encode(message, Version.V1)
