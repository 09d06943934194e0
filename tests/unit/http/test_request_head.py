from __future__ import annotations

import pytest

from trillium_trio.http import Headers, RequestHead


def head(method: str, target: str, **fields: str) -> RequestHead:
    return RequestHead(method, target, "1.1", Headers(fields))


@pytest.mark.parametrize(
    ("method", "target", "path", "querystring"),
    [
        ("GET", "/", "/", ""),
        ("GET", "/a%2Fb?x=1?y", "/a%2Fb", "x=1?y"),
        ("GET", "/?", "/", ""),
        ("GET", "//evil.example/x", "//evil.example/x", ""),
        ("GET", "http://example.com", "/", ""),
        ("GET", "http://example.com?q", "/", "q"),
        ("GET", "HTTPS://example.com:8443/a?b=http://c/d", "/a", "b=http://c/d"),
        ("OPTIONS", "*", "*", ""),
        ("OPTIONS", "http://example.com", "*", ""),
        ("OPTIONS", "http://example.com/", "/", ""),
        ("OPTIONS", "http://example.com?q", "/", "q"),
        ("CONNECT", "example.com:443", "", ""),
    ],
)
def test_path_and_querystring(method: str, target: str, path: str, querystring: str) -> None:
    request = head(method, target, Host="h")
    assert (request.path, request.querystring) == (path, querystring)


@pytest.mark.parametrize(
    ("method", "target", "host"),
    [
        ("GET", "/", "field:1"),
        ("GET", "//evil.example/", "field:1"),
        ("GET", "http://example.com:81/x", "example.com:81"),
        ("GET", "http://example.com?http://other", "example.com"),
        ("CONNECT", "tunnel:443", "tunnel:443"),
        ("OPTIONS", "*", "field:1"),
    ],
)
def test_the_target_wins_over_the_host_field(method: str, target: str, host: str) -> None:
    # RFC 9112, 3.2.2
    assert head(method, target, Host="field:1").host == host


def test_a_client_may_name_no_host() -> None:
    assert head("GET", "/").host is None
    assert head("GET", "/", Host="").host == ""


def test_text_forms() -> None:
    request = head("GET", "/x?y")
    assert str(request) == "GET /x?y"
    assert repr(request) == "<RequestHead GET /x?y HTTP/1.1>"
