"""The clauses of docs/spec/security-headers.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import trillium_trio as tt
from trillium_trio.exceptions import ConfigError, MisuseError
from trillium_trio.handlers import SecurityHeaders
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from trillium_trio.conn import HandlerLike

DEFAULTS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
}
HSTS = "strict-transport-security"


async def fails(conn: tt.Conn) -> tt.Conn:
    raise tt.HttpError(409)


@pytest.mark.parametrize("handler", ["ok", fails])
async def test_sh_1_a_response_has_what_it_lacks(handler: HandlerLike) -> None:
    async with TestServer((SecurityHeaders(), handler)) as app:
        response = await app.get("/")
    for name, value in DEFAULTS.items():
        response.assert_header(name, value)
    response.assert_no_header("content-security-policy").assert_no_header(HSTS)


async def test_sh_1_what_it_has_is_kept_and_none_leaves_a_field_out() -> None:
    async def own(conn: tt.Conn) -> tt.Conn:
        return conn.ok("").with_response_header("x-frame-options", "DENY")

    handler = SecurityHeaders(opener_policy=None, permissions_policy="camera=()")
    async with TestServer((handler, own)) as app:
        response = await app.get("/")
    response.assert_header("x-frame-options", "DENY")
    response.assert_header("permissions-policy", "camera=()")
    response.assert_no_header("cross-origin-opener-policy")


def test_sh_1_a_wrong_value_is_found_at_once() -> None:
    with pytest.raises(ValueError, match="referrer-policy"):
        SecurityHeaders(referrer_policy="a\r\nb")
    with pytest.raises(ConfigError, match="hsts"):
        SecurityHeaders(hsts=-1)


async def test_sh_2_hsts_is_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    async with TestServer((SecurityHeaders(hsts=3600), "ok")) as app:
        (await app.get("/")).assert_no_header(HSTS)
        monkeypatch.setattr(tt.Conn, "is_secure", True)
        (await app.get("/")).assert_header(HSTS, "max-age=3600")
    async with TestServer((SecurityHeaders(hsts=1, hsts_subdomains=True), "ok")) as app:
        (await app.get("/")).assert_header(HSTS, "max-age=1; includeSubDomains")


async def test_sh_3_a_policy_can_have_a_nonce() -> None:
    async def page(conn: tt.Conn) -> tt.Conn:
        return conn.ok(SecurityHeaders.of(conn))

    policy = "script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'nonce-{nonce}'"
    async with TestServer((SecurityHeaders(content_security_policy=policy), page)) as app:
        first, second = await app.get("/"), await app.get("/")
    assert first.text != second.text
    assert len(first.text) == 22
    first.assert_header("content-security-policy", policy.replace("{nonce}", first.text))


async def test_sh_3_nobody_can_guess_that_of_a_response_without_one() -> None:
    handler = SecurityHeaders(content_security_policy="script-src 'nonce-{nonce}'")
    # It is answered in front: no page has been given the nonce.
    async with TestServer(("in front", handler)) as app:
        first, second = await app.get("/"), await app.get("/")
    policies = [each.headers["content-security-policy"] for each in (first, second)]
    assert policies[0] != policies[1]
    assert [len(each) for each in policies] == [len("script-src 'nonce-'") + 22] * 2


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (SecurityHeaders(content_security_policy="default-src 'self'"), "has no {nonce}"),
        (None, "SecurityHeaders leaves it"),
    ],
)
async def test_sh_3_without_one_asking_is_misuse(handler: HandlerLike, reason: str) -> None:
    async def page(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(MisuseError, match=reason):
            SecurityHeaders.of(conn)
        return conn.ok("")

    async with TestServer((handler, page)) as app:
        (await app.get("/")).assert_ok()
