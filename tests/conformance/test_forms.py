"""Forms of other projects, through a live server: whole, and in small pieces."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance._forms import CASES
from trillium_trio.handlers import Forms
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trillium_trio as tt
    from tests.conformance._forms import Case, Outcome
    from tests.conformance._page import Page

# Byte by byte, the largest would take long.
SMALL_BYTES, SMALL_PIECES, LARGE_PIECES = 6_000, (1, 7, 64), (997, 4_096)


async def show(conn: tt.Conn) -> tt.Conn:
    form = await Forms.of(conn).read()
    files = {
        name: [
            (each.filename, each.content_type, (await each.read()).decode("latin-1"))
            for each in form.get_files(name)
        ]
        for name in form.files
    }
    return conn.ok(json.dumps([{name: form.get_all(name) for name in form}, files]))


def shown(outcome: Outcome) -> Any:  # Any: JSON, or a status
    """Return what `show` answers to a form with these fields and files."""
    if isinstance(outcome, int):
        return outcome
    fields: dict[str, list[str]] = {}
    files: dict[str, list[list[str | None]]] = {}
    for each in outcome:
        if len(each) == 2:
            fields.setdefault(each[0], []).append(each[1])
        else:
            name, filename, kind, data = each
            files.setdefault(name, []).append([filename, kind, data.decode("latin-1")])
    return [fields, files]


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def answers(given: Case) -> dict[int, Any]:  # Any: as of `shown`
    """Send a form whole, and in pieces of each size; return what came of them, by size."""
    headers = {"content-type": given.kind} if given.kind else None
    sizes = SMALL_PIECES if len(given.body) < SMALL_BYTES else LARGE_PIECES
    found: dict[int, Any] = {}
    async with TestServer((Forms(**given.limits), show)) as app:
        # Without a body there is nothing to cut.
        for size in (0, *(sizes if given.kind else ())):
            body = cut(given.body, size) if size else given.body
            response = await app.post("/", body=body, headers=headers)
            is_read = response.status == 200
            found[size] = json.loads(response.body) if is_read else response.status
    return found


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(each, id=f"{project}-{index}")
        for project, cases in CASES.items()
        for index, each in enumerate(cases)
    ],
)
async def test_fm_1_other_projects_forms(given: Case) -> None:
    found = await answers(given)
    assert found == dict.fromkeys(found, shown(given.ours))


def test_the_page_counts_the_forms(page: Page) -> None:
    reasons: Counter[tuple[str, str]] = Counter()
    rows = []
    for project, cases in CASES.items():
        for each in cases:
            assert (each.ours != each.theirs) == bool(each.why), each.body[:200]
            if each.why:
                reasons[project, each.why] += 1
        differing = sum(count for (name, _), count in reasons.items() if name == project)
        rows.append(f"| {project} | {len(cases)} | {len(cases) - differing} | {differing} |")
    head = ["| project | forms | as expected | differ on purpose |", "| --- | ---: | ---: | ---: |"]
    lines = [
        f"* {project}: {reason} *{count} form{'s' if count > 1 else ''}.*"
        for (project, reason), count in reasons.items()
    ]
    page.check("forms", "\n".join([*head, *rows, "", *lines]))
