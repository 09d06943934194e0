"""Routing cases of Falcon, Starlette and werkzeug, rewritten as data.

Routes are in our notation. A case is a path and the template that its project finds, None for a
404; the reason why ours differs, if it does.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from trillium_trio.handlers import Router

if TYPE_CHECKING:
    from tests.conformance._page import Page

CASES: dict[str, list[tuple[str, dict[str, str | None]]]] = {
    "falcon": [
        ("/{version}/messages /v2", {
            "/v2/messages": "/{version}/messages", "/v2": "/v2", "/v1": None,
        }),
        ("/recipes/{activity}/{type_id} /recipes/baking", {
            "/recipes/baking/4242": "/recipes/{activity}/{type_id}",
            "/recipes/baking": "/recipes/baking", "/recipes/grilling": None,
        }),
        ("/teams/{id} /teams/{id}/members /teams/default /teams/default/members/thing", {
            "/teams": None, "/teams/default": "/teams/default", "/teams/1234": "/teams/{id}",
            "/teams/default/members": "/teams/{id}/members",
            "/teams/1234/members": "/teams/{id}/members",
        }),
        ("/emojis/signs/0 /emojis/signs/{id} /emojis/signs/42 /emojis/signs/42/small.jpg", {
            "/emojis/signs": None, "/emojis/signs/0": "/emojis/signs/0",
            "/emojis/signs/1": "/emojis/signs/{id}", "/emojis/signs/42": "/emojis/signs/42",
            "/emojis/signs/42/small.jpg": "/emojis/signs/42/small.jpg",
            "/emojis/signs/1/small": None,
        }),
        ("/gists/{id}/{representation} /gists/{id}/raw /gists/first", {
            "/gists": None, "/gists/42": None, "/gists/first": "/gists/first",
            "/gists/first/raw": "/gists/{id}/raw",
            "/gists/first/pdf": "/gists/{id}/{representation}",
        }),
        ("/c/{u}:{b} /c/{u}:{b}...{v}:{d} /c/all /c/{u}:{b}/full", {
            "/c/foo": None, "/c/foo/full": None, "/c/all": "/c/all", "/c/a:b": "/c/{u}:{b}",
            "/c/a:b...c:d": "/c/{u}:{b}...{v}:{d}", "/c/a:b/full": "/c/{u}:{b}/full",
        }),
        ("/items/{x}|{y}| /items/{x}*{y}foo /items/{x},{y}", {
            "/items/1080|768": None, "/items/1080*768foobar": None,
            "/items/1080,768": "/items/{x},{y}",
        }),
        ("/files/{id} /files/{id}.{ext}", {
            "/files/a": "/files/{id}", "/files/a.b": "/files/{id}.{ext}",
        }),
        ("/kitchen /kitchen/ /kitchen/{item} /kitchen/{item}/ /kitchen/sink /kitchen/sink/", {
            "/kitchen": "/kitchen", "/kitchen/": "/kitchen/", "/kitchen/tea": "/kitchen/{item}",
            "/kitchen/tea/": "/kitchen/{item}/", "/kitchen/sink": "/kitchen/sink",
            "/kitchen/sink/": "/kitchen/sink/",
        }),
        ("/1/{id}/ /2/{id}", {"/1/123": None, "/1/123/": "/1/{id}/", "/2/123/": None}),
    ],
    "starlette": [
        ("/users/me /users/{username} /users/nomatch", {
            "/users/me": "/users/me", "/users/tom": "/users/{username}",
            # Starlette takes the first route that was added.
            "/users/nomatch": "/users/{username}",
        }),
        ("/int/{p:int} /float/{p:float} /path/{p:path} /uuid/{p:uuid} /par({p:int})", {
            "/int/5": "/int/{p:int}", "/float/25.5": "/float/{p:float}",
            "/path/some/example": "/path/{p:path}", "/par(7)": "/par({p:int})",
            "/uuid/ec38df32-ceda-4cfa-9b4a-1aeb94ad551a": "/uuid/{p:uuid}",
            "/uuid/00000000AAAAFFFF9999000000000000": "/uuid/{p:uuid}",
            "/uuid/not-a-uuid": None, "/float/1.0": "/float/{p:float}", "/float/1-0": None,
        }),
    ],
    "werkzeug": [
        ("/ /foo", {"/": "/", "/foo": "/foo", "/blub": None}),
        ("/foo /{bar:path}", {"/foo": "/foo", "/blub": "/{bar:path}", "/he/he": "/{bar:path}"}),
        ("/ /{blub:int} /{blub} /foo/ /foobar/ /users/page/{page:int} /foox", {
            "/": "/", "/42": "/{blub:int}", "/blub": "/{blub}", "/foo/": "/foo/",
            "/foobar/": "/foobar/", "/users/page/2": "/users/page/{page:int}", "/foox": "/foox",
        }),
        ("/Special /{year:int} /{name:path} /User:{u}/comment/{id:int}-{r:int} /{a}/{b}/{c}", {
            "/Special": "/Special", "/2007": "/{year:int}", "/Some/Page": "/{name:path}",
            "/User:thomas/comment/123-456": "/User:{u}/comment/{id:int}-{r:int}",
            "/Jerry/eats/cheese": "/{a}/{b}/{c}",
        }),
    ],
}  # fmt: skip

DIFFERENCES = {
    ("starlette", "/users/nomatch"): (
        "/users/nomatch",
        "The most specific route wins here, not the first that was added.",
    ),
}


def test_rt_3_other_projects_routing_cases(page: Page) -> None:
    rows = []
    for project, groups in CASES.items():
        counts: Counter[str] = Counter()
        for templates, cases in groups:
            names = templates.split(" ")
            routers = [
                Router(*(("GET", each, each) for each in order)) for order in (names, names[::-1])
            ]
            for path, theirs in cases.items():
                ours, _ = DIFFERENCES.get((project, path), (theirs, ""))
                for router in routers:
                    found = router._table.find("GET", path)
                    template = None if isinstance(found, frozenset) else found[0].template.text
                    assert template == ours, (project, path)
                counts["agrees" if ours == theirs else "differs"] += 1
        row = (counts.total(), counts["agrees"], counts["differs"])
        rows.append(f"| {project} | {' | '.join(map(str, row))} |")
    reasons = [f"* {project} `{path}`: {why}" for (project, path), (_, why) in DIFFERENCES.items()]
    head = ["| project | cases | as expected | differ on purpose |", "| --- | ---: | ---: | ---: |"]
    page.check("routing", "\n".join([*head, *rows, "", *reasons]))
