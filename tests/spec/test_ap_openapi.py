"""AP-11 and AP-12 of docs/spec/api.md: the document, and the page."""

import json
import math
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct
from openapi_spec_validator import OpenAPIV31SpecValidator

import trillium_trio as tt
from tests.spec._api import Aliased, Colour, Family, Item, Login, Person, plain
from trillium_trio.handlers import (
    FromCookie,
    FromForm,
    FromHeader,
    OpenApi,
    Problem,
    Router,
    api,
)
from trillium_trio.testing import TestServer


class Shop:
    """Another scope, for a type of the same name."""

    class Item(Struct):
        id: int


class Wrapped(Struct):
    person: Aliased


@api(status=201, tags=["items"], responses={409: "The name is taken", 303: Shop.Item})
async def add_item(shop: int, body: Item, notify: bool = False) -> Item | None:
    """Add an item.

    It is <b>there</b> at once.
    """
    raise Problem(409)


@api(tags=["items"])
async def find_items(
    text: str,
    limit: Annotated[int, Meta(ge=1, le=100, description="How many")] = 10,
    colours: list[Colour] = [],  # noqa: B006
    agent: Annotated[str, FromHeader("user-agent")] = "",
    theme: Annotated[Literal["light", "dark"], FromCookie] = "light",
    db: Annotated[int | None, tt.State] = None,
) -> list[Shop.Item]:
    return []


@api
async def log_in(form: Annotated[Login, FromForm]) -> tuple[Literal[202], Person]:
    raise NotImplementedError


@api
async def rename(id: str, body: Aliased) -> Wrapped:  # noqa: A002
    """Rename"""
    raise NotImplementedError


@api
async def marry(body: list[Person]) -> Family:
    raise NotImplementedError


@api
async def watch() -> AsyncIterator[Item]:
    yield Item("a", 1)


@api
async def upload(conn: tt.Conn, rest: str, body: bytes) -> tt.Conn:
    return conn


@api
async def either() -> Item | Login | list[Item] | None:
    return None


@api
async def download() -> bytes | str:
    return b""


def make_router() -> Router:
    inner = Router().get("/items", ("checked", find_items)[1:]).get("/jobs/{job:uuid}", watch)
    return (
        Router()
        .post("/shops/{shop:int}/items", (tt.State(1), add_item))
        .mount("/v1/{tenant}", (tt.State(2), inner))
        .route(["PUT", "PURGE"], "/people/{id}", rename)
        .post("/login", log_in)
        .post("/families", marry)
        .all("/files/{rest:path}", upload)
        .get("/files", download)
        .put("/files", either)
        .get("/plain/{x}", plain)
        .mount("/other", plain)
    )


def make(router: Any = None, **options: Any) -> OpenApi:
    return OpenApi(
        make_router() if router is None else router, title="Shop", version="1", **options
    )


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert isinstance(found, dict)
    return found


# -- AP-11 -------------------------------------------------------------------------------------


def test_ap_11_the_document_is_valid() -> None:
    document = make(description="A shop.").document()
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert document["info"] == {"title": "Shop", "version": "1", "description": "A shop."}


def test_ap_11_a_document_without_routes_is_valid() -> None:
    document = make(Router()).document()
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_ap_11_each_route_of_a_function_is_there() -> None:
    found = {path: set(item) for path, item in make().document()["paths"].items()}
    assert found == {
        "/shops/{shop}/items": {"post"},
        "/v1/{tenant}/items": {"get"},
        "/v1/{tenant}/jobs/{job}": {"get"},
        "/people/{id}": {"put"},
        "/login": {"post"},
        "/families": {"post"},
        "/files/{rest}": {"get", "put", "post", "delete", "patch"},
        "/files": {"get", "put"},
    }


def test_ap_11_an_operation_has_all_that_the_function_says() -> None:
    document = make().document()
    operation = document["paths"]["/shops/{shop}/items"]["post"]
    assert operation["summary"] == "Add an item."
    assert operation["description"] == "It is <b>there</b> at once."
    assert (operation["operationId"], operation["tags"]) == ("add_item", ["items"])
    assert operation["parameters"] == [
        {
            "name": "shop",
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0},
        },
        {"name": "notify", "in": "query", "schema": {"type": "boolean", "default": False}},
    ]
    body = operation["requestBody"]
    assert body["required"] is True
    assert list(body["content"]) == ["application/json"]
    responses = operation["responses"]
    assert list(responses) == ["201", "303", "400", "404", "406", "409", "413", "415", "422"]
    assert responses["409"]["description"] == "The name is taken"
    for status in ("400", "404", "409", "422"):
        content = responses[status]["content"]["application/problem+json"]
        assert resolve(document, content["schema"])["title"] == "Problem"
    created = responses["201"]["content"]["application/json"]["schema"]
    assert created == body["content"]["application/json"]["schema"]
    assert resolve(document, created)["required"] == ["name", "price"]


def test_ap_11_every_place_of_a_parameter_is_described() -> None:
    operation = make().document()["paths"]["/v1/{tenant}/items"]["get"]
    found = {each["name"]: each for each in operation["parameters"]}
    assert {name: each["in"] for name, each in found.items()} == {
        "tenant": "path",
        "text": "query",
        "limit": "query",
        "colours": "query",
        "user-agent": "header",
        "theme": "cookie",
    }
    assert [name for name, each in found.items() if each.get("required")] == ["tenant", "text"]
    assert found["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "default": 10,
        "description": "How many",
    }
    assert found["colours"]["schema"]["items"] == {"$ref": "#/components/schemas/Colour"}
    assert "requestBody" not in operation
    assert set(operation["responses"]) == {"200", "404", "406", "422"}


def test_ap_11_a_default_that_json_cannot_say_is_left_out() -> None:
    @api
    async def search(limit: float = math.inf) -> None: ...

    document = make(Router().get("/", search)).document()
    (parameter,) = document["paths"]["/"]["get"]["parameters"]
    assert parameter["schema"] == {"type": "number"}


def test_ap_11_a_decimal_is_described_by_a_pattern() -> None:
    schemas = make().document()["components"]["schemas"]
    (balance, _) = schemas["Login"]["properties"]["balance"]["anyOf"]
    assert balance["format"] == "decimal"
    for text in ("0", "-1.50", "+.5", "1.", "2e-3"):
        assert re.search(balance["pattern"], text)
        Decimal(text)
    for text in ("", ".", "1,5", "e3", "one", "1e99999999999999999999"):
        assert not re.search(balance["pattern"], text)


def test_ap_11_media_types_are_those_that_are_sent() -> None:
    paths = make().document()["paths"]
    assert list(paths["/login"]["post"]["requestBody"]["content"]) == [
        "application/x-www-form-urlencoded"
    ]
    assert "202" in paths["/login"]["post"]["responses"]
    jobs = paths["/v1/{tenant}/jobs/{job}"]["get"]
    assert list(jobs["responses"]["200"]["content"]) == ["application/jsonl"]
    assert jobs["parameters"][1]["schema"] == {"type": "string", "format": "uuid"}
    assert list(paths["/files/{rest}"]["put"]["requestBody"]["content"]) == ["*/*"]
    schema = paths["/files"]["put"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert len(schema["anyOf"]) == 2
    assert set(paths["/files/{rest}"]["put"]["responses"]) == {"400", "404", "413", "default"}
    content = paths["/files"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/octet-stream", "text/plain"}


def test_ap_11_names_of_operations_and_components_are_unique() -> None:
    document = make().document()
    ids = [each["operationId"] for item in document["paths"].values() for each in item.values()]
    assert len(ids) == len(set(ids))
    assert {"upload", "upload_2", "upload_5"} <= set(ids)
    assert set(document["components"]["schemas"]) == {
        "Aliased",
        "AliasedOutput",
        "Colour",
        "Family",
        "Login",
        "Person",
        "Problem",
        "Wrapped",
        "tests.spec._api.Item",
        "tests.spec.test_ap_openapi.Shop.Item",
    }
    wrapped = document["components"]["schemas"]["Wrapped"]
    assert wrapped["properties"]["person"] == {"$ref": "#/components/schemas/AliasedOutput"}
    assert list(document["components"]["schemas"]["Aliased"]["properties"]) == ["in"]
    assert list(document["components"]["schemas"]["AliasedOutput"]["properties"]) == ["out"]


def test_ap_11_two_templates_for_one_path_are_refused_if_their_names_differ() -> None:
    router = Router().get("/a/{x}", watch).put("/a/{y}", rename)
    with pytest.raises(tt.ConfigError, match=r"/a/\{y\} and /a/\{x\}"):
        make(router).document()


def test_ap_11_of_two_converters_the_first_is_described() -> None:
    router = Router().get("/a/{x:int}", watch).get("/a/{x}", download)
    operation = make(router).document()["paths"]["/a/{x}"]["get"]
    assert operation["operationId"] == "watch"


async def test_ap_11_a_wrong_document_ends_the_start() -> None:
    router = Router().get("/a/{x}", watch).put("/a/{y}", rename)
    with pytest.raises(tt.ConfigError):
        async with TestServer((make(router), router)):
            pytest.fail("it has started")


def test_ap_11_its_paths_begin_with_a_slash() -> None:
    for options in ({"path": "openapi.json"}, {"page": "docs"}):
        with pytest.raises(tt.ConfigError, match="begins with a slash"):
            make(**options)


async def test_ap_11_everything_else_is_passed_on() -> None:
    open_api = make(path="/a.json", page=None)
    async with TestServer((open_api, "passed on")) as app:
        response = await app.get("/a.json")
        response.assert_ok().assert_header("content-type", "application/json")
        assert response.json() == open_api.document()
        assert (await app.head("/a.json")).headers.get("content-type") == "application/json"
        for method, path in (("POST", "/a.json"), ("GET", "/docs"), ("GET", "/openapi.json")):
            (await app.request(method, path)).assert_body("passed on")
    assert open_api.name == "OpenApi(/a.json)"


async def test_ap_11_below_a_mount_the_prefix_is_the_server() -> None:
    router = make_router()
    async with TestServer(Router().mount("/api", (make(router), router))) as app:
        document = (await app.get("/api/openapi.json")).json()
        assert document["servers"] == [{"url": "/api"}]
        assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
        assert 'href="/api/openapi.json"' in (await app.get("/api/docs")).text


# -- AP-12 -------------------------------------------------------------------------------------


async def test_ap_12_the_page_loads_nothing() -> None:
    async with TestServer(make(description="1 < 2")) as app:
        response = await app.get("/docs")
    response.assert_ok().assert_header("content-type", "text/html; charset=utf-8")
    policy = str(response.headers.get("content-security-policy"))
    assert "default-src 'none'" in policy
    page = response.text
    assert re.findall(r"<(?:script|img|link|iframe|form|object)|\bon\w+=|url\(|@import", page) == []
    assert {each for each in re.findall(r'(?:href|src)="([^"#]*)', page) if each} == {
        "/openapi.json"
    }


async def test_ap_12_texts_are_escaped() -> None:
    async with TestServer(make(description="1 < 2")) as app:
        page = (await app.get("/docs")).text
    assert "1 &lt; 2" in page
    assert "&lt;b&gt;there" in page
    assert "<b>" not in page


async def test_ap_12_links_lead_to_types_of_the_page() -> None:
    async with TestServer(make()) as app:
        page = (await app.get("/docs")).text
    targets = set(re.findall(r'href="#([^"]*)"', page))
    assert targets
    assert targets <= set(re.findall(r'id="([^"]*)"', page))
    for name in ("tests.spec._api.Item", "Problem", "AliasedOutput"):
        assert name in targets
    samples = [
        json.loads(each.replace("&quot;", '"'))
        for each in re.findall("<pre>(.*?)</pre>", page, re.DOTALL)
    ]
    assert {"name": "text", "price": 0, "tags": []} in samples
