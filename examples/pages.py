"""Pages from templates: ``/`` lists what there is, ``/tea`` shows one, ``/all`` streams many lines.

The templates are written here so that the example is one file; yours are in a folder:
``Templates("templates")``.
"""

from collections.abc import Iterator

import jinja2

import trillium_trio as tt
from trillium_trio.handlers import Params, Router, Templates

PAGES = {
    "base.html": "<!doctype html><title>{% block title %}Shop{% endblock %}</title>"
    "{% block main %}{% endblock %}<footer>{{ path }}</footer>\n",
    "list.html": '{% extends "base.html" %}{% block main %}<ul>'
    '{% for each in stock %}<li><a href="/{{ each }}">{{ each }}</a>{% endfor %}</ul>'
    "{% endblock %}",
    "item.html": '{% extends "base.html" %}{% block title %}{{ name }}{% endblock %}'
    "{% block main %}<h1>{{ name }}</h1><p>{{ price }}</p>{% endblock %}",
    "all.txt": "{% for each in lines %}{{ each }}\n{% endfor %}",
}
STOCK = {"tea": 3, "fish & chips": 9}


async def everything(conn: tt.Conn) -> tt.Conn:
    return await Templates.of(conn).render("list.html", stock=STOCK)


async def item(conn: tt.Conn) -> tt.Conn:
    name = Params.of(conn)["name"]
    if name not in STOCK:
        return conn
    return await Templates.of(conn).render("item.html", name=name, price=STOCK[name])


async def stream(conn: tt.Conn) -> tt.Conn:
    return await Templates.of(conn).stream("all.txt", lines=lines())


def lines() -> Iterator[str]:
    for number in range(100_000):
        yield f"line {number}"


environment = jinja2.Environment(loader=jinja2.DictLoader(PAGES), autoescape=True)
app = (
    Templates(environment, context=lambda conn: {"path": conn.path}),
    Router().get("/", everything).get("/all", stream).get("/{name}", item),
)

if __name__ == "__main__":
    tt.config().run(app)
