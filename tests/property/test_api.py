"""Untrusted bodies and parameters against `api`: they are taken, or refused, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import trio
from hypothesis import example, given
from hypothesis import strategies as st

from tests.spec._api import Login, Order, Person
from trillium_trio.handlers import FromForm, api
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from trillium_trio.handlers.typed._handler import Api
    from trillium_trio.testing import TestResponse

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def taking(**annotations: Any) -> Api:
    """Return a handler with one parameter that answers with its argument."""
    [name] = annotations
    names: dict[str, Any] = {}
    exec(f"async def fn({name}): return {name}", names)
    names["fn"].__annotations__.update(annotations)
    return api(names["fn"])


def ask(handler: Api, target: str = "/", **options: Any) -> TestResponse:
    async def main() -> TestResponse:
        async with TestServer(handler) as app:
            return await app.request("POST", target, **options)

    return trio.run(main)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(VALUES)
def test_any_json_comes_back(value: object) -> None:
    try:
        # In a list, because None alone is no content.
        data = json.dumps([value], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # a key with a lone surrogate
    response = ask(taking(body=Any), body=data, headers=JSON)
    assert json.loads(response.assert_ok().body) == json.loads(data)


def near(value: object) -> st.SearchStrategy[bytes]:
    """Return documents that are nearly right, cut or with a byte changed."""
    data = json.dumps(value).encode()
    changed = st.builds(
        lambda at, byte: data[:at] + bytes([byte]) + data[at + 1 :],
        st.integers(0, len(data) - 1),
        st.integers(0, 255),
    )
    return changed | st.integers(0, len(data)).map(lambda end: data[:end]) | st.binary()


ORDER = {"items": [{"name": "a", "price": 1.5, "tags": ["x"]}], "notes": {"b": 2}}


@given(near(ORDER))
@example(json.dumps(ORDER).encode())
@example(b"[" * 100_000)
def test_a_body_is_taken_or_refused(data: bytes) -> None:
    response = ask(taking(body=Order), body=data, headers=JSON)
    assert response.status in {200, 400, 422}
    if response.status == 200:
        sent = json.loads(data)
        assert response.json()["items"][0]["name"] == sent["items"][0]["name"]
    else:
        response.assert_header("content-type", "application/problem+json")
        assert_pointers_are_sound(response.json())


@given(near({"name": "a", "born": "2000-01-01"}))
def test_a_model_is_taken_or_refused(data: bytes) -> None:
    response = ask(taking(body=Person), body=data, headers=JSON)
    assert response.status in {200, 400, 422}
    assert_pointers_are_sound(response.json())


def assert_pointers_are_sound(document: dict[str, Any]) -> None:
    for each in document.get("errors", ()):
        assert each["pointer"].startswith("#")
        assert each["pointer"][1:2] in {"", "/"}
        assert each["detail"]


FIELDS = st.lists(
    st.tuples(st.sampled_from(["user", "age", "languages", "colour", "x", ""]), st.text()),
    max_size=5,
)


@given(FIELDS.map(lambda fields: urlencode(fields, errors="replace").encode()) | st.binary())
def test_a_form_is_taken_or_refused(data: bytes) -> None:
    response = ask(taking(form=Annotated[Login, FromForm]), body=data, headers=FORM)
    assert response.status in {200, 400, 422}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([int, float, bool, str]))
def test_a_parameter_is_taken_or_refused(text: str, type_: Any) -> None:
    response = ask(taking(x=type_), f"/?x={quote(text, safe='')}")
    assert response.status in {200, 422}
    if type_ is str:
        assert response.assert_ok().text == text
