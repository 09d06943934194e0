"""Bodies of forms."""

from __future__ import annotations

from tests.property._forms import MULTIPART, URLENCODED, check_form


def forms(data: bytes) -> None:
    """Read a form, however it is cut: ``url`` and a line feed, or the boundary is ``b``."""
    if data.startswith(b"url\n"):
        check_form(data[4:], URLENCODED)
    else:
        check_form(data, MULTIPART)
