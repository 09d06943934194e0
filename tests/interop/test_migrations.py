"""The two columns of the pages "Coming from ..." answer the same requests alike."""

from __future__ import annotations

import json
import shlex
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

import aiohttp.web
import click
import pytest
from flask.cli import run_command

from tests.interop._columns import (
    ECHO,
    RUN_TEST,
    TALK,
    Answer,
    Ask,
    Conversation,
    Talk,
    module_of,
    talk_to_ours,
)
from tests.meta._pairs import LABELS, Pair, page, pairs, setup_of
from tests.meta.test_migration import ours as our_options
from tests.meta.test_migration import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
JSON = {"content-type": "application/json"}
UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="picture"; filename="cat.png"\r\n'
    b"Content-Type: image/png\r\n\r\n12345\r\n--x--\r\n"
)
# Flask and Quart take the default if a parameter of the query cannot be converted.
LENIENT = {"flask": 200, "quart-trio": 200}


def status_only(_: Answer) -> object:
    return None


def json_of(answer: Answer) -> object:
    return answer.media_type, json.loads(answer.body)


def hello() -> Talk:
    yield Ask()


def routes() -> Talk:
    yield Ask(path="/users/7")
    # FastAPI matches the route, and refuses the argument.
    yield Ask(path="/users/ada", fact=status_only, differs={"fastapi": 422})
    yield Ask(method="POST", path="/users/7", fact=status_only)
    yield Ask(path="/elsewhere", fact=status_only)


def query() -> Talk:
    yield Ask(path="/search?q=tea&page=2&tag=a&tag=b", fact=json_of)
    yield Ask(path="/search?q=a%20b%26", fact=json_of)
    yield Ask(path="/search?q=tea&page=two", fact=status_only, differs=LENIENT)
    yield Ask(path="/search", fact=status_only, differs={"flask": 400, "quart-trio": 400})


def json_in_and_out() -> Talk:
    def post(body: bytes, differs: dict[str, int] | None = None) -> Ask:
        fact = json_of if b"1.5" in body else status_only
        return Ask(
            method="POST", path="/items", headers=JSON, body=body, fact=fact, differs=differs or {}
        )

    yield post(b'{"name": "lamp", "price": 1.5}')
    yield post(b'{"name": "lamp", "price": "dear"}')
    # pydantic makes a number of it.
    yield post(b'{"name": "lamp", "price": "2"}', differs=dict.fromkeys(LABELS, 201))
    yield post(b'{"name": "lamp"}')
    yield post(b"{", differs={"fastapi": 422, "aiohttp": 500})


def forms() -> Talk:
    yield Ask(
        method="POST", path="/sign-up", headers=FORM, body=b"name=Ada&likes=tea&likes=t%C3%A9"
    )
    missing = {"aiohttp": 500, "fastapi": 422}
    yield Ask(
        method="POST",
        path="/sign-up",
        headers=FORM,
        body=b"likes=tea",
        fact=status_only,
        differs=missing,
    )


def uploads() -> Talk:
    yield Ask(method="POST", path="/pictures", headers=MULTIPART, body=UPLOAD)


def templates() -> Talk:
    yield Ask(path="/hello/Ada", fact=lambda answer: (answer.media_type, answer.text))
    yield Ask(path="/hello/%3Cb%3E", fact=lambda answer: (answer.media_type, answer.text))


def static_files() -> Talk:
    first = yield Ask(path="/static/site.css", fact=lambda answer: (answer.media_type, answer.text))
    known = {"if-none-match": first.headers["etag"]}
    yield Ask(path="/static/site.css", headers=known)
    part = {"range": "bytes=4-8"}
    yield Ask(path="/static/site.css", headers=part)
    yield Ask(path="/static/nothing.css", fact=status_only)


def cookies() -> Talk:
    yield Ask(fact=lambda answer: (answer.text, answer.cookies))
    yield Ask(headers={"cookie": "other=1"})
    yield Ask(headers={"cookie": "theme=dark"})


def sessions() -> Talk:
    first = yield Ask()
    second = yield Ask(headers={"cookie": first.cookie})
    yield Ask(headers={"cookie": second.cookie})
    yield Ask(headers={"cookie": second.cookie[:-4] + "AAAA"})


def redirects() -> Talk:
    first = yield Ask(path="/me", fact=lambda answer: answer.location)
    yield Ask(path=first.location)


def errors() -> Talk:
    yield Ask(path="/x")
    yield Ask(path="/sold", fact=status_only)
    yield Ask(path="/bug", fact=status_only)


def before_and_after() -> Talk:
    def shop(answer: Answer) -> object:
        return answer.headers.get("x-shop")

    yield Ask(fact=lambda answer: (answer.text, shop(answer)))
    yield Ask(headers={"x-blocked": "yes"}, fact=shop)
    yield Ask(path="/x", fact=shop)


def of_a_request() -> Talk:
    yield Ask(path="/me", headers={"x-user": "ada"}, fact=json_of)
    yield Ask(path="/me", fact=status_only)


def start_and_end() -> Talk:
    yield Ask()


def work() -> Talk:
    yield Ask(method="POST", path="/sign-up", body=b"ada")


def streams() -> Talk:
    def data(answer: Answer) -> object:
        lines = [line for line in answer.text.splitlines() if line.startswith("data:")]
        return answer.media_type, lines

    yield Ask(path="/numbers")
    yield Ask(path="/events", fact=data)


TALKS: dict[str, Callable[[], Talk]] = {
    "Hello": hello,
    "Routes with typed parameters": routes,
    "The query": query,
    "JSON in and out": json_in_and_out,
    "Forms": forms,
    "Uploads": uploads,
    "Templates": templates,
    "Static files": static_files,
    "Cookies": cookies,
    "Sessions": sessions,
    "Redirects and names of routes": redirects,
    "Errors and their pages": errors,
    "Before and after each request": before_and_after,
    "What belongs to a request": of_a_request,
    "Start and end": start_and_end,
    "Work after the response": work,
    "Streams and server-sent events": streams,
}
# What a module has to say when its application has ended.
AFTERWARDS: dict[str, tuple[Callable[[Any], object], object]] = {
    "Start and end": (lambda module: module.pool.is_open, False),
    "Work after the response": (lambda module: module.sent, ["ada"]),
}
# These are other tests of this file.
APART = ["WebSockets", "Tests", "Deployment"]
NOT_COMPARED = {("flask", "Start and end"): "atexit closes the pool when the process ends"}


@pytest.fixture(params=LABELS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def load(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Any, Any]]]:
    """Return a function that runs the blocks of a section: theirs and ours."""
    monkeypatch.chdir(tmp_path)
    text = page(framework)
    # It makes files, so it runs once; its names are for both.
    shared = module_of("docs_setup", setup_of(text))
    modules: list[Any] = [shared]

    def run(title: str) -> tuple[Any, Any]:
        pair = pair_of(framework, title)
        for name, source in {"docs_theirs": pair.theirs, "docs_ours": pair.ours}.items():
            names = {k: v for k, v in vars(shared).items() if not k.startswith("__")}
            modules.append(module_of(name, source, names=names))
        return modules[1], modules[2]

    yield run
    for module in modules:
        del sys.modules[module.__name__]


def pair_of(framework: str, title: str) -> Pair:
    [found] = [each for each in pairs(page(framework)) if each.title == title]
    return found


def test_each_section_is_compared(framework: str) -> None:
    assert [each.title for each in pairs(page(framework))] == [*TALKS, *APART]


# aiohttp-session does not follow a recommendation of aiohttp's yet.
@pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
@pytest.mark.parametrize("title", TALKS)
def test_both_columns_answer_alike(
    framework: str, title: str, load: Callable[[str], tuple[Any, Any]]
) -> None:
    theirs, ours = load(title)
    expected, found = Conversation(TALKS[title]()), Conversation(TALKS[title]())
    TALK[framework](theirs.app, expected)
    talk_to_ours(ours.app, found)
    assert len(expected.heard) == len(found.heard) > 0
    for (ask, answer), (_, our_answer) in zip(expected.heard, found.heard, strict=True):
        if framework in ask.differs:
            assert answer.status == ask.differs[framework] != our_answer.status, ask
        else:
            assert answer.status == our_answer.status, ask
            assert ask.fact(answer) == ask.fact(our_answer), ask
    if title in AFTERWARDS and (framework, title) not in NOT_COMPARED:
        look, left = AFTERWARDS[title]
        assert look(theirs) == look(ours) == left


def test_both_columns_echo(framework: str, load: Callable[[str], tuple[Any, Any]]) -> None:
    theirs, ours = load("WebSockets")
    assert ECHO[framework](theirs.app, "/echo", "hello") == "you said hello"
    assert ECHO["ours"](ours.app, "/echo", "hello") == "you said hello"


def test_the_tests_of_both_columns_pass(
    framework: str, load: Callable[[str], tuple[Any, Any]]
) -> None:
    theirs, ours = load("Tests")
    for column, module in {framework: theirs, "ours": ours}.items():
        RUN_TEST[column](module.test_hello)


def commands(text: str) -> list[list[str]]:
    joined = text.replace("\\\n", " ")
    return [shlex.split(line.removeprefix("$ ")) for line in joined.splitlines()]


def parse_aiohttp(arguments: list[str]) -> object:
    """Have aiohttp parse its command; its main function goes on to serve, so it is left there."""
    found: list[Namespace] = []
    original = ArgumentParser.parse_known_args

    def take(parser: ArgumentParser, *given: Any) -> None:
        options, rest = original(parser, *given)
        assert rest == []
        found.append(options)
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(ArgumentParser, "parse_known_args", take)
        aiohttp.web.main(arguments)
    return found[0].entry_func


def test_the_commands_of_both_columns_are_understood(framework: str) -> None:
    pair = pair_of(framework, "Deployment")
    for command in commands(pair.theirs):
        match command:
            case ["flask", "--app", "shop", "run", *options]:
                # Without its callbacks, which set the environment.
                run_command.make_parser(click.Context(run_command)).parse_args(options)
            case ["python", "-m", "aiohttp.web", *arguments]:
                assert parse_aiohttp(arguments) == "shop:make_app"
            case [server, *arguments]:
                assert parse(server, arguments) == "shop:app"
            case _:
                pytest.fail(f"not a command: {command}")
    for command in commands(pair.ours):
        assert command[:2] == ["trillium-trio", "shop:app"]
        assert {each for each in command if each.startswith("-")} <= our_options()
