"""Whatever an Origin says, it is the request's own only if another parser finds the same host."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from trillium_trio.http import is_same_origin, parse_origin

HOST = "shop.org"
# fmt: off
WORDS = [
    "x", ":", "//", "/", "\\", "@", "?", "#", "*", "shop.org", "evil.org", ".", "80", "443", "[",
    "]", "::1", "null", "%2f", " ", "\t", "\xdf",
]
# fmt: on
PIECES = st.lists(st.sampled_from(WORDS), max_size=3).map("".join)
ORIGINS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "WS", "x"]),
    PIECES,
    st.sampled_from([HOST, "SHOP.org", "evil.org", "shop.org:443"]),
    PIECES,
)


@given(ORIGINS, st.booleans())
def test_cf_3_no_spelling_of_another_host_is_the_own_one(origin: str, is_secure: bool) -> None:
    if not is_same_origin(origin, host=HOST, is_secure=is_secure):
        return
    parsed = urlsplit(origin)
    assert parsed.hostname == HOST
    assert parsed.port in {None, {"http": 80, "https": 443, "ws": 80}.get(parsed.scheme)}
    assert (parsed.path, parsed.query, parsed.fragment, parsed.username) == ("", "", "", None)
    assert parsed.scheme == "https" or not is_secure


@given(ORIGINS)
def test_what_is_parsed_is_its_own_origin(origin: str) -> None:
    parsed = parse_origin(origin)
    if parsed is not None:
        scheme, authority = parsed
        again = f"{scheme}://{authority}"
        assert parse_origin(again) == parsed
        assert is_same_origin(again, host=authority, is_secure=scheme == "https")
