"""Schemathesis reads the description of an API, and finds that the API does what it says.

It makes requests that the description allows, and others that it does not, and checks statuses,
media types, header fields and bodies of the responses. Its plugin of pytest is off: one function
here makes all the requests.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from msgspec import Meta
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

import trillium_trio as tt
from tests.spec._api import Colour, Item, Login, Order, Person, Range
from trillium_trio.conn import HandlerLike
from trillium_trio.handlers import (
    FromCookie,
    FromForm,
    FromHeader,
    OpenApi,
    Problem,
    Router,
    api,
)

EXAMPLES = 15
PATIENCE = 60

Small = Annotated[int, Meta(ge=1, le=100)]


@api(status=201, responses={409: "It exists"})
async def add(shop: int, body: Item, notify: bool = False) -> Item:
    """Add an item."""
    if shop == 13:
        raise Problem(409)
    return body


@api
async def find(
    text: Annotated[str, Meta(max_length=20)],
    limit: Small = 10,
    colours: list[Colour] = [],  # noqa: B006
    kind: Literal["new", "old"] | None = None,
    share: float = 1,
    since: date = date(2000, 1, 1),
) -> dict[str, object]:
    """Answer with the arguments."""
    return {
        "text": text,
        "limit": limit,
        "colours": colours,
        "kind": kind,
        "share": share,
        "since": since,
    }


@api
async def order(body: Order) -> Order:
    return body


@api
async def people(body: list[Person]) -> list[Person]:
    return body


@api
async def one_range(body: Range | None = None) -> Range | None:
    return body


@api
async def log_in(form: Annotated[Login, FromForm]) -> tuple[Literal[202], Login]:
    return 202, form


@api
async def job(
    id: UUID,  # noqa: A002
    size: Annotated[Small, FromHeader("x-size")],
    theme: Annotated[Literal["light", "dark"], FromCookie] = "light",
) -> list[UUID]:
    return [id] * size


@api
async def watch(count: Small) -> AsyncIterator[Item]:
    for n in range(count):
        yield Item("a", n)


@api
async def forget(name: str) -> None: ...


def make_app() -> HandlerLike:
    router = (
        Router()
        .post("/shops/{shop:int}/items", add)
        .get("/items", find)
        .post("/orders", order)
        .put("/people", people)
        .post("/ranges", one_range)
        .post("/login", log_in)
        .get("/jobs/{id:uuid}", job)
        .get("/watch", watch)
        .delete("/items/{name}", forget)
    )
    return (OpenApi(router, title="Shop", version="1"), router)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    config = tt.config().with_host("127.0.0.1").with_port(0).without_signals()
    with config.spawn(make_app()) as handle:
        assert handle.url is not None
        yield handle.url.rstrip("/")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_ap_11_the_api_does_what_its_document_says(url: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", wait_for_schema=PATIENCE)
    found = [each.ok() for each in schema.get_all_operations()]  # type: ignore[union-attr]  # none is wrong
    assert len(found) == 9
    checked = 0
    for operation in found:
        # A wrong value that is an empty list or null leaves nothing behind in a form: it is right.
        unsure = [negative_data_rejection] if operation.path == "/login" else []
        # Where everything is allowed, there is nothing to do wrong.
        with suppress(Unsatisfiable):
            check(operation.as_strategy(generation_mode=mode), unsure)
            checked += 1
    assert checked >= 7


def check(strategy: Any, unsure: list[Any]) -> None:
    # The same requests each time, but for constants that Hypothesis finds in imported modules.
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def send(case: Any) -> None:
        # No API describes that field, and some values are errors in the client itself: "[" is one.
        assume("host" not in {name.lower() for name in case.headers or ()})
        case.call_and_validate(timeout=PATIENCE, excluded_checks=unsure)

    test: Callable[[], None] = send
    test()
