"""The targets by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz._chunks import chunks
from tests.fuzz._connections import connections
from tests.fuzz._forms import forms
from tests.fuzz._heads import fields, heads, targets
from tests.fuzz._listening import binds, environments
from tests.fuzz._proxies import forwarded, proxy_headers
from tests.fuzz._records import records
from tests.fuzz._responses import responses
from tests.fuzz._routes import routes

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"

TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (
        heads,
        targets,
        fields,
        chunks,
        responses,
        connections,
        records,
        binds,
        environments,
        routes,
        forwarded,
        proxy_headers,
        forms,
    )
}
