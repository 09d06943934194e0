"""Types of the applications in the tests of docs/spec/api.md."""

import enum
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, TypedDict

import pydantic
from msgspec import Meta, Struct

import trillium_trio as tt
from trillium_trio.conn import OnConn
from trillium_trio.handlers import Params


class Item(Struct):
    """Something to sell."""

    name: str
    price: Annotated[float, Meta(ge=0)]
    tags: list[str] = []


class Order(Struct):
    items: list[Item]
    notes: dict[str, int] = {}


class Strict(Struct, forbid_unknown_fields=True, rename={"one": "a/b~c"}):
    one: int


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Login(Struct):
    user: str
    age: int
    languages: list[str] = []
    colour: Colour | None = None
    height: float | None = None
    balance: Decimal | None = None


class Person(pydantic.BaseModel):
    name: str
    born: date = date(2000, 1, 1)


class Family(pydantic.BaseModel):
    parents: list[Person]
    children: "list[Family]" = []


class Aliased(pydantic.BaseModel):
    """Is read and written under different names."""

    value: int = pydantic.Field(validation_alias="in", serialization_alias="out")


@dataclass
class Point:
    x: int
    y: int

    def __post_init__(self) -> None:
        if self.x > self.y:
            raise ValueError("x is beyond y")


class Range(TypedDict):
    low: int
    high: int


class Db:
    """A value of the application."""


class User(OnConn, left_by="Authenticate"):
    """A value that a handler leaves."""

    name = "ann"


async def plain(conn: tt.Conn) -> tt.Conn:
    """Answer with the path's parameters, without `api`."""
    return conn.ok(repr(dict(Params.of(conn))))
