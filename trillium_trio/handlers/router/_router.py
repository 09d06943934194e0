"""The router."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, final

from ..._log import printable
from ...conn import (
    Handler,
    Mounted,
    Params,
    as_handler,
    handler_name,
    leaves,
    walk_handlers,
)
from ...exceptions import ConfigError, MisuseError
from ...http import Status
from ._converters import CONVERTERS
from ._table import Table
from ._target import Allowed, Chosen, Target, mounted_at, restore
from ._template import Template
from ._verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ...conn import Conn, HandlerLike, HasState, Info, Sent, Upgrade
    from ._converters import Converter
    from ._table import Found, Missed

__all__ = ["Router"]

TrailingSlash = Literal["strict", "redirect", "ignore"]

# RFC 9110, 9.1: a token. The registered ones are in capitals, and all are case-sensitive.
_METHOD = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]+")


@final
class Router(Verbs):
    """Chooses a handler by the method and path of the request.

    Templates are written as for Starlette and FastAPI: ``/users``, ``/users/{id}``,
    ``/users/{id:int}``, ``/files/{rest:path}``. The converters are ``str`` (the default), ``int``,
    ``float``, ``uuid``, ``path``, and your own. The most specific route wins, in whatever order
    they were added. The handler reads the parameters with `Params`.

    A request that no route matches is passed on: to the next handler, or it is a 404.

    Args:
      routes: Routes as tuples ``(methods, template, handler)``; see `route`.
      converters: Your own converters by name, see `Converter`.
      trailing_slash: What becomes of a path that would match with a slash more or less at its
        end: ``"strict"`` passes it on, ``"redirect"`` answers 308, ``"ignore"`` takes it.
      head: Whether routes for GET take HEAD. Default: True.
      options: Whether OPTIONS is answered with the methods of the path. Default: True.
      method_not_allowed: Whether a path whose routes have other methods is answered 405. If not,
        it is passed on, and a later router adds the methods to its ``Allow``. Default: True.

    Raises:
      ConfigError: A route or a setting is wrong.
    """

    def __init__(
        self,
        *routes: tuple[str | Iterable[str] | None, str, HandlerLike],
        converters: Mapping[str, Converter] | None = None,
        trailing_slash: TrailingSlash = "strict",
        head: bool = True,
        options: bool = True,
        method_not_allowed: bool = True,
    ) -> None:
        if trailing_slash not in {"strict", "redirect", "ignore"}:
            raise ConfigError(
                f"Router.trailing_slash is 'strict', 'redirect' or 'ignore', not {trailing_slash!r}"
            )
        self._converters = {**CONVERTERS, **(converters or {})}
        self._slash: TrailingSlash = trailing_slash
        self._options = options
        self._method_not_allowed = method_not_allowed
        self._table: Table[Target] = Table(head=head)
        self._targets: list[Target] = []
        self._names: dict[str, Target] = {}
        self._is_serving = False
        for methods, template, handler in routes:
            self.route(methods, template, handler)

    # -- building ------------------------------------------------------------------------------

    def mount(self, prefix: str, handler: HandlerLike, *, name: str | None = None) -> Router:
        """Give a handler the path ``prefix`` and all paths below it, with every method.

        A router in it matches the rest of the path. Other handlers find the rest and the prefix
        in `Mounted`; ``conn.path`` stays whole.

        Args:
          prefix: A template without a path parameter. A slash at its end is ignored.
          handler: See `as_handler`.
          name: For `url_for`.

        Raises:
          ConfigError: The prefix is malformed, or mounted or named already; or this router is in
            the handler.
          MisuseError: The server has started.
        """
        template = Template(prefix.rstrip("/") or "/", self._converters)
        if template.is_rest:
            raise ConfigError(f"the prefix {prefix!r} has a path parameter; mount it without")
        self._register(Target(None, template, as_handler(handler), name, is_mount=True))
        return self

    def _add(
        self,
        methods: tuple[str, ...] | None,
        template: str,
        handler: HandlerLike,
        name: str | None,
    ) -> None:
        if methods is not None:
            _check_methods(methods, template)
        parsed = Template(template, self._converters)
        self._register(Target(methods, parsed, as_handler(handler), name, is_mount=False))

    def _register(self, target: Target) -> None:
        if self._is_serving:
            raise MisuseError(f"{target.template.text} was added after the server had started")
        if any(each is self for each in walk_handlers(target.handler)):
            raise ConfigError(f"the router cannot stand inside itself, at {target.template.text}")
        named = self._names.get(target.name) if target.name is not None else None
        if target.name is not None:
            if ":" in target.name:
                raise ConfigError(f"the name {target.name!r} has a colon, which separates names")
            # GET and POST of the same path may share its name.
            if named is not None and named.template.text != target.template.text:
                raise ConfigError(
                    f"{target.template.text} and {named.template.text} have the name "
                    f"{target.name!r}"
                )
        if target.is_mount:
            self._table.mount(target.template, target)
        else:
            self._table.add(target.methods, target.template, target)
        self._targets.append(target)
        if target.name is not None:
            self._names.setdefault(target.name, target)

    # -- starting ------------------------------------------------------------------------------

    @property
    def inner(self) -> tuple[Handler, ...]:
        """The handlers of all routes."""
        return tuple(each.handler for each in self._targets)

    async def init(self, info: Info) -> None:
        """Close the table: no route can be added any more.

        Raises:
          ConfigError: A parameter of a prefix has the name of one in a router below it.

        Cancellation:
          None: it does not wait.
        """
        self._is_serving = True
        self._check_names(())

    def _check_names(self, outer: tuple[str, ...]) -> None:
        for target in self._targets:
            names = target.template.names
            for name in names:
                if name in outer:
                    raise ConfigError(
                        f"the parameter {name!r} of {target.template.text} is also one of the "
                        "prefix that its router is mounted at"
                    )
            if target.is_mount or target.template.is_rest:
                for router in _routers(target):
                    router._check_names((*outer, *names))  # of its own class

    def overrides(self, hook: str) -> bool:
        """Whether a hook has to be called: those around sending if a handler of a route has one."""
        if hook not in {"before_send", "after_send"}:
            return super().overrides(hook)
        return any(leaf.overrides(hook) for each in self.inner for leaf in leaves(each))

    # -- requests ------------------------------------------------------------------------------

    async def run(self, conn: Conn) -> Conn:
        """Run the handler of the most specific route, or pass the conn on.

        Cancellation:
          The handler's.
        """
        mounted = conn.state(Mounted)
        head = conn.head
        path = head.path if mounted is None else mounted.path
        found = self._table.find(head.method, path)
        if isinstance(found, frozenset):
            other = self._answer_miss(conn, path, found)
            if other is None:
                return conn
            found = other
        target, parsed, depth = found
        if not target.is_prepared:
            target.prepare()
        template = target.template
        values: dict[str, Any] = dict(zip(template.names, parsed, strict=True))
        text = template.text
        if mounted is not None:
            values = {**mounted.params, **values}
            text = mounted.template + text
        conn.insert_state(Params(values, text, target.name))
        if target.has_hooks:
            chosen = conn.state(Chosen)
            if chosen is None:
                conn.insert_state(chosen := Chosen())
            chosen.targets[self] = target, None
        if depth is None:
            if not template.is_rest:
                return await target.run(conn)
            # Its handler may be one that stands below a prefix, such as files: as for a mount.
            depth = len(template.segments) - 1
        return await self._run_below(conn, mounted, path, target=target, depth=depth, values=values)

    async def _run_below(
        self,
        conn: Conn,
        outer: Mounted | None,
        path: str,
        *,
        target: Target,
        depth: int,
        values: Mapping[str, Any],
    ) -> Conn:
        """Run the handler of a mount, or of a route that ends with a path parameter.

        Cancellation:
          The handler's.
        """
        segments = path.split("/")
        at = depth + 1
        mounted = Mounted(
            prefix=("" if outer is None else outer.prefix) + "/".join(segments[:at]),
            path="/" + "/".join(segments[at:]),
            template=("" if outer is None else outer.template) + target.template.prefix,
            params=values,
        )
        conn.insert_state(mounted)
        if target.has_hooks:
            chosen = conn.state(Chosen)
            assert chosen is not None, "run has left it"
            chosen.targets[self] = target, mounted
        await target.run(conn)
        if not conn.is_halted:
            # The handlers that follow are not mounted there.
            restore(conn, outer)
        return conn

    def _answer_miss(self, conn: Conn, path: str, allowed: Missed) -> Found[Target] | None:
        """Answer a request that no route matches, pass it on, or find a route nevertheless."""
        if self._slash != "strict":
            other = self._find_toggled(conn, path, allowed)
            if other is None or isinstance(other, tuple):
                return other
            allowed = other
        is_options = self._options and conn.method == "OPTIONS"
        if is_options and path == "*":
            allowed = frozenset(self._table.methods)
        earlier = conn.state(Allowed)
        if earlier is not None:
            allowed |= earlier.methods
        if not allowed:
            return None
        if self._options:
            allowed |= {"OPTIONS"}
        if not (is_options or self._method_not_allowed):
            conn.insert_state(Allowed(allowed))
            return None
        if is_options:
            conn.with_status(Status.NO_CONTENT)
        else:
            conn.with_status(Status.METHOD_NOT_ALLOWED).with_body("Method Not Allowed\n")
        conn.with_response_header("allow", ", ".join(sorted(allowed))).halt()
        return None

    def _find_toggled(
        self, conn: Conn, path: str, allowed: Missed
    ) -> Found[Target] | Missed | None:
        """Find the path with a slash more or less at its end; None: the client was redirected."""
        if len(path) < 2:  # without its slash it would be empty
            return allowed
        other = self._table.find(conn.method, _toggled(path))
        if self._slash == "ignore":
            return allowed | other if isinstance(other, frozenset) else other
        # A location that begins with two slashes would be another host.
        if allowed or isinstance(other, frozenset) or conn.path.startswith("//"):
            return allowed
        query = f"?{conn.querystring}" if conn.querystring else ""
        conn.redirect(_toggled(conn.path) + query, Status.PERMANENT_REDIRECT)
        return None

    async def before_send(self, conn: Conn) -> Conn:
        """Run the ``before_send`` of the chosen route's handler.

        Cancellation:
          The hook's.
        """
        target, mounted = self._chosen(conn)
        if target is not None:
            with mounted_at(conn, mounted):
                await target.sequence.before_send(conn)
        return conn

    def after_send(self, conn: Conn, sent: Sent) -> None:
        """Run the ``after_send`` of the chosen route's handler."""
        target, mounted = self._chosen(conn)
        if target is not None:
            with mounted_at(conn, mounted):
                target.sequence.after_send(conn, sent)

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        """Whether the handler of the chosen route takes the upgrade."""
        target, _ = self._chosen(upgrade)
        return target is not None and target.sequence.has_upgrade(upgrade)

    async def upgrade(self, upgrade: Upgrade) -> None:
        """Give the upgrade to the handler of the chosen route.

        Cancellation:
          The handler's.
        """
        target, _ = self._chosen(upgrade)
        assert target is not None, "has_upgrade was asked first"
        await target.sequence.upgrade(upgrade)

    def _chosen(self, conn: HasState) -> tuple[Target | None, Mounted | None]:
        chosen = conn.state(Chosen)
        return (None, None) if chosen is None else chosen.targets.get(self, (None, None))

    # -- names ---------------------------------------------------------------------------------

    def url_for(self, name: str, **params: Any) -> str:  # Any: a converter decides the type
        """Return the path of a named route, percent-encoded.

        ``"mount:route"`` is a route of a router that is mounted with a name; routes of a router
        mounted without one are found by their own name. The name of a mount takes ``path``, by
        default empty, besides its own parameters. Ask the outermost router: one that is mounted
        does not know its prefix.

        Raises:
          MisuseError: There is no such route, or its parameters are others.
          ValueError: A value cannot stand in the path.
        """
        templates = self._route_named(name.split(":"))
        if templates is None:
            known = ", ".join(sorted(self._all_names())) or "none"
            raise MisuseError(f"no route has the name {name!r}; there are: {known}")
        if templates[-1] is _BELOW:
            params["path"] = str(params.get("path", "")).removeprefix("/")
        names = [name for each in templates for name in each.names]
        if params.keys() != set(names):
            raise MisuseError(
                f"the route {name!r} takes ({', '.join(names)}), not ({', '.join(params)})"
            )
        *prefixes, last = templates
        # A prefix "/" adds nothing.
        path = "".join(each.format(params).rstrip("/") for each in prefixes)
        return path + last.format(params)

    def _route_named(self, names: list[str]) -> list[Template] | None:
        """Return the templates of the prefixes and of the route."""
        first, *rest = names
        target = self._names.get(first)
        if target is not None:
            if not target.is_mount:
                return None if rest else [target.template]
            if not rest:
                return [target.template, _BELOW]
            return _route_below(target, rest)
        for each in self._targets:
            if each.is_mount and each.name is None:
                found = _route_below(each, names)
                if found is not None:
                    return found
        return None

    def _all_names(self) -> Iterator[str]:
        yield from self._names
        for each in self._targets:
            prefix = "" if each.name is None else f"{each.name}:"
            for router in _routers(each) if each.is_mount else ():
                yield from (f"{prefix}{name}" for name in router._all_names())

    def routes(self) -> Iterator[tuple[tuple[str, ...] | None, str, Handler]]:
        """Yield the routes as tuples ``(methods, template, handler)``, in the order of addition.

        Those of a mounted router follow at its place, with the prefix in front of the template; the
        handler is then the route's, without what stands in front of the router. A mount of anything
        else is not a route.
        """
        for each in self._targets:
            if not each.is_mount:
                yield each.methods, each.template.text, each.handler
            for router in _routers(each) if each.is_mount else ():
                prefix = each.template.text.rstrip("/")
                for methods, template, handler in router.routes():
                    yield methods, prefix + template, handler

    @property
    def name(self) -> str:
        """Router and the number of its routes."""
        count = len(self._targets)
        return f"Router({count} route{'' if count == 1 else 's'})"

    def __repr__(self) -> str:
        """The table of routes, with those of mounted routers, in the order they were added."""
        rows = list(self._rows(""))
        left = max((len(methods) for methods, *_ in rows), default=0)
        middle = max((len(template) for _, template, _ in rows), default=0)
        lines = [f"{a:{left}}  {b:{middle}}  {c}".rstrip() for a, b, c in rows]
        return "\n  ".join([f"<{self.name}>", *lines])

    def _rows(self, prefix: str) -> Iterator[tuple[str, str, str]]:
        for each in self._targets:
            text = printable(prefix + each.template.text)
            methods = ", ".join(each.methods or "*")
            below = "/..." if each.is_mount else ""
            yield methods, f"{text.rstrip('/')}{below}" or "/", handler_name(each.handler)
            for router in _routers(each) if each.is_mount else ():
                yield from router._rows(text.rstrip("/"))  # of its own class


_BELOW = Template("/{path:path}", CONVERTERS)


def _check_methods(methods: tuple[str, ...], template: str) -> None:
    if not methods:
        raise ConfigError(f"the route {template!r} has no method")
    for each in methods:
        if not isinstance(each, str) or _METHOD.fullmatch(each) is None:
            raise ConfigError(
                f"the route {template!r} has {each!r} as method; methods are case-sensitive "
                "tokens, such as 'GET'"
            )
        if each == "CONNECT":
            raise ConfigError(f"the route {template!r} takes CONNECT, whose target has no path")
    if len(set(methods)) < len(methods):
        raise ConfigError(f"the route {template!r} has a method twice")


def _routers(target: Target) -> list[Router]:
    return [each for each in leaves(target.handler) if isinstance(each, Router)]


def _route_below(target: Target, names: list[str]) -> list[Template] | None:
    """Return the templates of a route below a mount, with its own."""
    for router in _routers(target):
        found = router._route_named(names)  # of this file
        if found is not None:
            return [target.template, *found]
    return None


def _toggled(path: str) -> str:
    """Return the path with a slash at its end if it has none, else without it."""
    return path[:-1] if path.endswith("/") else f"{path}/"
