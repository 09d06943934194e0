"""The wire format of Phoenix's channels, versions 1.0.0 and 2.0.0. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from math import isfinite
from typing import Any, final

from ...exceptions import BadRequest

__all__ = ["Message", "Outgoing", "Version", "check_names", "decode", "encode"]

# Binary messages hold each of these lengths in one byte; text ones have the same bound, so that a
# topic is either good for all clients or for none.
_MAX_NAME_BYTES = 255
# As deep as `RequestBody.json`. What is not deep can be encoded again, whatever the stack.
_MAX_DEPTH = 100
_PUSH, _REPLY, _BROADCAST = 0, 1, 2


class Version(Enum):
    """A version of the protocol; the client names it in the querystring, as ``vsn``."""

    V1 = "1.0.0"
    V2 = "2.0.0"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, from a client or to it.

    Attributes:
      topic: What it belongs to.
      event: What happened; names that begin with ``phx_`` are the protocol's own.
      payload: JSON, or bytes in version 2.
      ref: The client's number for a message, which the reply repeats.
      join_ref: The client's number for the join that it belongs to.
      status: ``"ok"`` or ``"error"`` of a reply; else None.
    """

    topic: str
    event: str
    payload: Any  # whatever JSON holds
    ref: str | None = None
    join_ref: str | None = None
    status: str | None = None


@final
class Outgoing:
    """A message on its way to clients, encoded once for each version."""

    __slots__ = ("_encoded", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self._encoded: dict[Version, str | bytes] = {}

    def encoded(self, version: Version) -> str | bytes:
        """Return what is sent to clients of this version.

        Raises:
          TypeError, ValueError: The message cannot be encoded.
        """
        data = self._encoded.get(version)
        if data is None:
            data = self._encoded[version] = encode(self.message, version)
        return data

    def fits(self, version: Version) -> bool:
        """Whether this version can express it: version 1 has no bytes."""
        return version is Version.V2 or not isinstance(self.message.payload, bytes)


def encode(message: Message, version: Version) -> str | bytes:
    """Encode a message: bytes for a payload of bytes, else text.

    Raises:
      TypeError: JSON has no such value, or version 1 no bytes.
      ValueError: The payload refers to itself, is too deep, NaN or infinite; or a name is too long.
    """
    payload = message.payload
    check_names(message.topic, message.event)
    if isinstance(payload, bytes):
        if version is Version.V1:
            raise TypeError("clients of version 1.0.0 cannot be sent bytes")
        return _encode_bytes(message, payload)
    # Phoenix's client reads attributes of payloads, which null has none of.
    payload = {} if payload is None else payload
    if message.status is not None:
        payload = {"status": message.status, "response": payload}
    value: object
    if version is Version.V2:
        value = [message.join_ref, message.ref, message.topic, message.event, payload]
    else:
        value = {
            "topic": message.topic,
            "event": message.event,
            "payload": payload,
            "ref": message.ref,
        }
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise ValueError("the payload is nested too deeply") from None


def check_names(topic: str, event: str) -> None:
    """Check that topic and event are neither empty nor too long.

    Raises:
      ValueError: One of them is.
    """
    for name, value in (("topic", topic), ("event", event)):
        if not value or len(value.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
            raise ValueError(f"the {name} is empty, or longer than {_MAX_NAME_BYTES} bytes")


def decode(data: str | bytes, version: Version) -> Message:
    """Decode what a client has sent.

    Raises:
      BadRequest: It is not a message of this version.
    """
    message = (
        _decode_bytes(data, version) if isinstance(data, bytes) else _decode_text(data, version)
    )
    try:
        check_names(message.topic, message.event)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    return message


def _decode_text(text: str, version: Version) -> Message:
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the message is not JSON") from error
    if version is Version.V2 and isinstance(value, list) and len(value) == 5:
        join_ref, ref, topic, event, payload = value
    elif version is Version.V1 and isinstance(value, dict):
        join_ref, ref, topic, event, payload = (
            value.get(name) for name in ("join_ref", "ref", "topic", "event", "payload")
        )
    else:
        raise BadRequest(f"not a message of version {version.value}")
    if not isinstance(topic, str) or not isinstance(event, str):
        raise BadRequest("topic and event are not strings")
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_deeper(payload, _MAX_DEPTH):
        raise BadRequest(f"the payload is nested more than {_MAX_DEPTH} levels deep")
    return Message(
        topic=topic, event=event, payload=payload, ref=_ref(ref), join_ref=_ref(join_ref)
    )


def _refuse(constant: str) -> None:
    # What Python reads beyond JSON could not be sent to anybody.
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("a number is too large")
    return value


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in children)


def _ref(value: object) -> str | None:
    # Phoenix's client counts in strings, others in numbers.
    if value is None:
        return None
    if isinstance(value, str | int) and len(text := str(value)) <= _MAX_NAME_BYTES:
        return text
    raise BadRequest("a ref is neither a short string nor a number")


def _decode_bytes(data: bytes, version: Version) -> Message:
    """Decode a push: kind, four lengths, join_ref, ref, topic, event, payload."""
    if version is Version.V1:
        raise BadRequest("version 1.0.0 has no binary messages")
    lengths = data[1:5]
    start = 5 + sum(lengths)
    if len(lengths) < 4 or data[0] != _PUSH or len(data) < start:
        raise BadRequest("not a binary message of version 2.0.0")
    names = []
    at = 5
    for length in lengths:
        try:
            names.append(data[at : at + length].decode())
        except UnicodeDecodeError as error:
            raise BadRequest("a name in a binary message is not UTF-8") from error
        at += length
    join_ref, ref, topic, event = names
    return Message(
        topic=topic,
        event=event,
        payload=data[start:],
        ref=ref or None,
        join_ref=join_ref or None,
    )


def _encode_bytes(message: Message, payload: bytes) -> bytes:
    join_ref = message.join_ref or ""
    names: tuple[str, ...]
    if message.status is not None:
        kind, names = _REPLY, (join_ref, message.ref or "", message.topic, message.status)
    elif join_ref:
        kind, names = _PUSH, (join_ref, message.topic, message.event)
    else:
        kind, names = _BROADCAST, (message.topic, message.event)
    # Half a surrogate pair, which a text message can hold, raises a ValueError here.
    parts = [name.encode() for name in names]
    return b"".join((bytes((kind, *map(len, parts))), *parts, payload))
