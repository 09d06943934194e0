"""Headers against a list of pairs, which is all that they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.property._messages import fields
from trillium_trio.http import Headers

NAMES = st.sampled_from(["a", "A", "b", "X-C", "x-c"])
VALUES = st.text("xyz \t\xe9", max_size=4)
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "append", "remove"]), NAMES, VALUES), max_size=12
)


@given(st.lists(fields(), max_size=5), STEPS)
def test_headers_are_a_list_of_pairs(lines: list[bytes], steps: list[tuple[str, str, str]]) -> None:
    headers = Headers.from_block(b"".join(line + b"\r\n" for line in lines))
    model: list[tuple[str, str]] = []
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        model.append((name, value.strip(" \t")))
    assert len(headers) == len(model)

    for step, name, value in steps:
        if step != "append":
            model = [pair for pair in model if pair[0].lower() != name.lower()]
        if step == "remove":
            headers.remove(name)
        else:
            model.append((name, value.strip(" \t")))
            getattr(headers, step)(name, value)

    assert headers.items() == model
    assert len(headers) == len(model)
    assert list(headers) == list(dict.fromkeys(name.lower() for name, _ in model))
    assert headers == headers.copy() == Headers(model)
    # What is rendered is the same fields again.
    assert Headers.from_block(headers.render()).items() == model
    for name in headers:
        assert headers.get_all(name) == [value for key, value in model if key.lower() == name]
        assert headers[name] == headers.get_all(name)[0]


@given(st.text(max_size=6), st.text(max_size=6))
def test_nothing_unsendable_gets_in(name: str, value: str) -> None:
    headers = Headers()
    try:
        headers.append(name, value)
    except ValueError:
        assert len(headers) == 0
        return
    block = headers.render()
    assert block.count(b"\r") == block.count(b"\n") == 1
    assert block.endswith(b"\r\n")
    assert not any(byte < 0x20 and byte != 0x09 for byte in block[:-2])
    assert Headers.from_block(block) == headers
