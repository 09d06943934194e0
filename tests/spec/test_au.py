"""The clauses of docs/spec/authentication.md."""

from __future__ import annotations

import base64
from typing import Any

import pytest

import trillium_trio as tt
from trillium_trio.exceptions import ConfigError, MisuseError
from trillium_trio.handlers import BasicAuth, BearerAuth
from trillium_trio.testing import TestServer

BASIC = 'Basic realm="Restricted", charset="UTF-8"'
BEARER = 'Bearer realm="Restricted"'


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


async def who(conn: tt.Conn) -> tt.Conn:
    return conn.ok(f"basic {BasicAuth.of(conn)}")


async def whose(conn: tt.Conn) -> tt.Conn:
    return conn.ok(f"bearer {BearerAuth.of(conn)}")


PASSWORDS = (BasicAuth({"ada": "lovelace", "zoé": "mot:de:passe é", "empty": ""}), who)
TOKENS = (BearerAuth({"secret-token": "ada", "other": 7}), whose)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Basic \xe9",
        "Bearer secret-token",
        "Digest x",
    ],
)
async def test_au_1_without_a_password_the_answer_is_a_challenge(sent: str | None) -> None:
    async with TestServer(PASSWORDS) as app:
        response = await app.get("/", headers=None if sent is None else {"authorization": sent})
    response.assert_status(401).assert_header("www-authenticate", BASIC)


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer  ", basic("ada", "lovelace")])
async def test_au_1_without_a_token_the_answer_is_a_challenge(sent: str | None) -> None:
    async with TestServer(TOKENS) as app:
        response = await app.get("/", headers=None if sent is None else {"authorization": sent})
    response.assert_status(401).assert_header("www-authenticate", BEARER)


async def test_au_1_several_fields_are_none() -> None:
    fields = [("authorization", basic("ada", "lovelace"))] * 2
    async with TestServer(PASSWORDS) as app:
        (await app.get("/", headers=fields)).assert_status(401)


def test_au_1_the_realm_is_quoted() -> None:
    with pytest.raises(ConfigError, match="printable ASCII"):
        BasicAuth({}, realm="a\r\nb")
    with pytest.raises(ConfigError, match="printable ASCII"):
        BearerAuth({}, realm="é")


async def test_au_1_a_realm_with_quotes() -> None:
    async with TestServer(BearerAuth({}, realm='say "x"')) as app:
        response = await app.get("/")
    response.assert_header("www-authenticate", r'Bearer realm="say \"x\""')


@pytest.mark.parametrize(
    "sent", [basic("ada", "wrong"), basic("bob", "lovelace"), basic("bob", ""), basic("", "")]
)
async def test_au_2_wrong_passwords_are_challenged(sent: str) -> None:
    async with TestServer(PASSWORDS) as app:
        response = await app.get("/", headers={"authorization": sent})
    response.assert_status(401).assert_header("www-authenticate", BASIC)


async def test_au_2_a_wrong_token_is_called_one() -> None:
    async with TestServer(TOKENS) as app:
        response = await app.get("/", headers={"authorization": "Bearer secret-tokem"})
    response.assert_status(401)
    response.assert_header("www-authenticate", f'{BEARER}, error="invalid_token"')


@pytest.mark.parametrize(
    ("sent", "identity"),
    [
        (basic("ada", "lovelace"), "ada"),
        (basic("zoé", "mot:de:passe é"), "zoé"),
        (basic("empty", ""), "empty"),
        (basic("ada", "lovelace").replace("Basic", "bAsIc "), "ada"),
    ],
)
async def test_au_3_a_password_leaves_a_name(sent: str, identity: str) -> None:
    async with TestServer(PASSWORDS) as app:
        (await app.get("/", headers={"authorization": sent})).assert_body(f"basic {identity}")


@pytest.mark.parametrize(
    ("sent", "identity"),
    [("Bearer secret-token", "ada"), ("bearer other", "7")],
)
async def test_au_3_a_token_leaves_its_value(sent: str, identity: str) -> None:
    async with TestServer(TOKENS) as app:
        (await app.get("/", headers={"authorization": sent})).assert_body(f"bearer {identity}")


async def test_au_3_without_the_handler_the_error_names_it() -> None:
    async def asks(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(MisuseError, match="BasicAuth leaves it"):
            BasicAuth.of(conn)
        with pytest.raises(MisuseError, match="BearerAuth leaves it"):
            BearerAuth.of(conn)
        return conn.ok("")

    async with TestServer(asks) as app:
        (await app.get("/")).assert_ok()


@pytest.mark.parametrize(
    ("result", "status"), [({"id": 1}, 200), (0, 200), (None, 401), (False, 401)]
)
async def test_au_4_the_function_decides(result: Any, status: int) -> None:
    async def password(name: str, given: str) -> Any:
        assert (name, given) == ("ada", "x")
        return result

    async def token(given: str) -> Any:
        assert given == "x"
        return result

    async with TestServer((BasicAuth(password), who)) as app:
        response = await app.get("/", headers={"authorization": basic("ada", "x")})
        response.assert_status(status)
    async with TestServer((BearerAuth(token), whose)) as app:
        response = await app.get("/", headers={"authorization": "Bearer x"})
        response.assert_status(status)


async def test_au_4_what_it_raises_is_answered() -> None:
    async def password(name: str, given: str) -> Any:
        raise tt.HttpError(503, "the directory is down")

    async with TestServer((BasicAuth(password), who)) as app:
        response = await app.get("/", headers={"authorization": basic("ada", "x")})
    response.assert_status(503)
