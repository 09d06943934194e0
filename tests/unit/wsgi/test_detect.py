"""What is taken for a WSGI application."""

from __future__ import annotations

from typing import Any

import django.core.handlers.wsgi
import flask
import pytest

from trillium_trio.asgi import is_asgi
from trillium_trio.wsgi import is_wsgi


def app(environ: Any, start_response: Any) -> Any: ...


def with_option(environ: Any, start_response: Any, debug: bool = False) -> Any: ...


class App:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class AppClass:
    """The form of PEP 3333 in which a call makes the result."""

    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __iter__(self) -> Any: ...


class Pair:
    def __init__(self, first: Any, second: Any) -> None: ...


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


async def two(first: Any, second: Any) -> None: ...


class Two:
    async def __call__(self, first: Any, second: Any) -> None: ...


async def handler(conn: Any) -> Any: ...


def wide(conn: Any, *rest: Any) -> Any: ...


@pytest.mark.parametrize(
    "value",
    [
        app,
        with_option,
        App(),
        App().__call__,
        AppClass,
        flask.Flask(__name__),
        flask.Flask(__name__).wsgi_app,
        django.core.handlers.wsgi.WSGIHandler.__call__.__get__(object()),
    ],
)
def test_an_application_is_called_with_two_arguments(value: object) -> None:
    assert is_wsgi(value)


@pytest.mark.parametrize(
    "value", [asgi, two, Two(), Two, handler, wide, Pair, App, "text", None, 3, object()]
)
def test_nothing_else_is_one(value: object) -> None:
    assert not is_wsgi(value)


@pytest.mark.parametrize("value", [app, App(), AppClass, flask.Flask(__name__)])
def test_it_is_not_taken_for_the_other_kind(value: object) -> None:
    assert not is_asgi(value)
