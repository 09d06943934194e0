"""Weights in Accept and Accept-Encoding."""

from __future__ import annotations

import pytest

from trillium_trio.http import accepted_codings, media_weight


@pytest.mark.parametrize(
    ("field", "weight"),
    [
        ("", 1),
        (" ", 1),
        ("*/*", 1),
        ("text/html", 1),
        ("TEXT/HTML;Q=0.5", 0.5),
        ("text/*;q=0.3", 0.3),
        ("text/html;level=1;q=0.4", 0.4),
        ("text/html ; q=0.4", 0.4),
        ("text/html;q=0.125", 0.125),
        ("text/html;q=0", 0),
        ("text/html;q=0.000, */*", 0),
        ("text/*;q=0, */*;q=0.1", 0),
        ("application/json, */*;q=0.1", 0.1),
        ("application/json", 0),
        # Not a weight, so the member counts as missing, and */* counts.
        ("text/html;q=2, */*;q=0.2", 0.2),
        ("text/html;q=0.1234, */*;q=0.2", 0.2),
        ("text/html;q=, */*;q=0.2", 0.2),
        (",,text/html,,", 1),
    ],
)
def test_the_most_specific_range_counts(field: str, weight: float) -> None:
    assert media_weight([field] if field else [], "text/html") == weight


def test_several_fields_are_one_list() -> None:
    assert media_weight(["text/plain", "text/html;q=0.5"], "text/html") == 0.5


@pytest.mark.parametrize(
    ("field", "codings"),
    [
        ("", ()),
        ("identity", ()),
        ("gzip", ("gzip",)),
        ("gzip, deflate, br, zstd", ("zstd", "br", "gzip")),
        ("gzip;q=1, br;q=0.5", ("gzip", "br")),
        ("gzip;q=0, *", ("zstd", "br")),
        ("*;q=0", ()),
        ("*;q=0.5, gzip", ("gzip", "zstd", "br")),
        ("GZIP", ("gzip",)),
        ("x-gzip", ()),
        ("gzip;q=0.5;q=x, br", ("br",)),
        ("gzip;q=0.5,br;q=0.501", ("br", "gzip")),
        ("br;q=0, gzip", ("gzip",)),
        ("identity;q=0, br ; q=0.1", ("br",)),
        ("gzip;q=2, br;q=x, zstd;q=", ()),
    ],
)
def test_codings_come_best_first(field: str, codings: tuple[str, ...]) -> None:
    assert accepted_codings([field], ("zstd", "br", "gzip")) == codings
