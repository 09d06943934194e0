"""CN-16 of docs/spec/grammar.md, for bodies that are read as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import trillium_trio as tt
from tests.wire import chunked, request, serving
from trillium_trio.conn._json import _depth, parse_json

LIMIT = 1024 * 1024


async def read(conn: tt.Conn) -> tt.Conn:
    limit = int(conn.querystring) if conn.querystring else None
    return conn.ok(str(len(await conn.request_body.json(limit))))


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(
    ("target", "http", "limit"),
    [
        pytest.param("/", {}, LIMIT, id="default"),
        pytest.param("/", {"max_json_bytes": 99}, 99, id="setting"),
        pytest.param("/", {"max_body_bytes": 98}, 98, id="a-lower-limit-of-bodies"),
        pytest.param("/?97", {}, 97, id="argument"),
        pytest.param(f"/?{2 * LIMIT}", {}, 2 * LIMIT, id="a-greater-argument"),
    ],
)
async def test_cn_16_json_has_a_limit_of_its_own(
    target: str, http: dict[str, Any], limit: int, is_chunked: bool, autojump_clock: object
) -> None:
    async with serving(read, **http) as app:
        for size in (limit, limit + 1):
            body = b"[1]".ljust(size)
            client = app.connect()
            if is_chunked:
                fields = ("Transfer-Encoding: chunked",)
                await client.send(request(target, *fields, method="PUT", body=chunked(body)))
            else:
                await client.send(request(target, method="PUT", body=body))
            response = await client.response()
            assert response.status == (200 if size == limit else 413)


def nested(depth: int, left: str = "[", right: str = "]") -> str:
    return left * depth + "1" * (left != "[") + right * depth


@pytest.mark.parametrize(
    "depth_of",
    [
        nested,
        lambda depth: nested(depth, '{"a":', "}"),
        lambda depth: "[" + "[]," * 1000 + nested(depth - 1) + "]",
        lambda depth: '["]]]]",' * depth + "1" + "]" * depth,
        lambda depth: '["]\\"]\\\\",' * depth + "1" + "]" * depth,
    ],
    ids=["arrays", "objects", "late", "strings-that-close", "escapes"],
)
async def test_cn_16_json_is_100_levels_deep_at_most(depth_of: Any, autojump_clock: object) -> None:
    async with serving(read) as app:
        client = app.connect()
        for depth, status in ((100, 200), (101, 400)):
            text = depth_of(depth)
            json.loads(text)
            await client.send(request(method="PUT", body=text.encode()))
            assert (await client.response()).status == status


async def test_cn_16_brackets_in_strings_do_not_nest(autojump_clock: object) -> None:
    async with serving(read) as app:
        client = app.connect()
        for text in ("[" * 1000, "{" * 1000, '"[' * 1000, "\\[" * 1000, '\\"[' * 1000):
            body = json.dumps([text, text]).encode()
            await client.send(request(method="PUT", body=body))
            assert (await client.response()).body == b"2"


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text('[]{}"\\ax'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\a'), inner),
)


def depth_of(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
    return 0


@given(value=VALUES, is_ascii=st.booleans())
@example(value=['\\"['] * 101, is_ascii=True)
def test_cn_16_the_depth_is_that_of_the_document(value: object, is_ascii: bool) -> None:
    # Enough brackets that they are looked at one by one.
    text = json.dumps([value, [[]] * 101], ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert _depth(text) == 1 + max(depth_of(value), 2)
    assert parse_json(text)[0] == value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"])
def test_json_is_read_in_any_encoding_of_unicode(encoding: str) -> None:
    # In UTF-16 these characters are made of the bytes of brackets and quotes.
    text = "\u5b5b\u7b7b\u2222\u5c5c" * 200
    assert parse_json(json.dumps([text], ensure_ascii=False).encode(encoding)) == [text]


@pytest.mark.parametrize("data", [b"", b"\xff", b"]" * 500, b"[" * 200, b"1" * 5000, b"\x00["])
def test_what_is_no_json_is_a_bad_request(data: bytes) -> None:
    with pytest.raises(tt.BadRequest):
        parse_json(data)
