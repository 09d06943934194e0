from __future__ import annotations

import pytest

from trillium_trio.codec import BodyFraming, connection_options, response_framing, shows_length


@pytest.mark.parametrize(
    ("method", "status", "version", "length", "framing"),
    [
        # RFC 9112, 6.3, in its order.
        ("HEAD", 200, "1.1", 5, BodyFraming.NONE),
        ("HEAD", 200, "1.0", None, BodyFraming.NONE),
        ("GET", 101, "1.1", None, BodyFraming.NONE),
        ("GET", 204, "1.1", 5, BodyFraming.NONE),
        ("GET", 304, "1.1", 5, BodyFraming.NONE),
        ("CONNECT", 200, "1.1", None, BodyFraming.NONE),
        ("CONNECT", 299, "1.1", 5, BodyFraming.NONE),
        ("CONNECT", 404, "1.1", 5, BodyFraming.LENGTH),
        ("GET", 200, "1.1", 0, BodyFraming.LENGTH),
        ("GET", 200, "1.0", 5, BodyFraming.LENGTH),
        ("GET", 200, "1.1", None, BodyFraming.CHUNKED),
        ("POST", 500, "1.1", None, BodyFraming.CHUNKED),
        ("GET", 200, "1.0", None, BodyFraming.CLOSE),
    ],
)
def test_response_framing(
    method: str, status: int, version: str, length: int | None, framing: BodyFraming
) -> None:
    assert response_framing(method=method, status=status, version=version, length=length) is framing


@pytest.mark.parametrize(
    ("method", "status", "shows"),
    [
        ("GET", 200, True),
        ("HEAD", 200, True),
        ("GET", 304, True),
        ("GET", 100, False),
        ("GET", 199, False),
        ("GET", 204, False),
        ("HEAD", 204, False),
        ("CONNECT", 200, False),
        ("CONNECT", 407, True),
    ],
)
def test_content_length_is_shown_only_where_it_may_be(
    method: str, status: int, shows: bool
) -> None:
    # RFC 9110, 8.6
    assert shows_length(method, status) is shows


def test_connection_options() -> None:
    assert connection_options([]) == set()
    assert connection_options(["Keep-Alive ,\tUpgrade", ",,", "close"]) == {
        "keep-alive",
        "upgrade",
        "close",
    }
