"""Adding routes: a method of the router for each method of HTTP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Self, TypeVar, overload

from ...conn import Handler, HandlerLike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Missing", "Verbs"]

H = TypeVar("H", bound=HandlerLike)


class Missing(Enum):
    """Stands for a handler that was not given: None is a handler."""

    HANDLER = "missing"


_MISSING = Missing.HANDLER


class Verbs(Handler, ABC):
    """Methods that add routes. With a handler they return the router, for chaining.

    Without one they return a decorator, which leaves the function as it is::

        router.get("/users", list_users).post("/users", add_user)

        @router.get("/users/{id:int}", name="user")
        async def show_user(conn): ...
    """

    @overload
    def route(
        self, methods: str | Iterable[str] | None, template: str, *, name: str | None = None
    ) -> Callable[[H], H]: ...
    @overload
    def route(
        self,
        methods: str | Iterable[str] | None,
        template: str,
        handler: HandlerLike,
        *,
        name: str | None = None,
    ) -> Self: ...
    def route(
        self,
        methods: str | Iterable[str] | None,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for these methods.

        Args:
          methods: One or several. None: all that the same path has no other route for.
          template: Such as ``/users/{id:int}``.
          handler: What answers; see `as_handler`.
          name: For `Router.url_for`.

        Raises:
          ConfigError: The template is malformed, or the route or its name exists.
          MisuseError: The server has started.
        """
        methods = (methods,) if isinstance(methods, str) else methods
        methods = None if methods is None else tuple(methods)
        if handler is not _MISSING:
            self._add(methods, template, handler, name)
            return self

        def decorate(decorated: H) -> H:
            self._add(methods, template, decorated, name)
            return decorated

        return decorate

    @abstractmethod
    def _add(
        self,
        methods: tuple[str, ...] | None,
        template: str,
        handler: HandlerLike,
        name: str | None,
    ) -> None: ...

    @overload
    def get(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def get(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def get(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for GET; see `route`."""
        return self.route("GET", template, handler, name=name)  # type: ignore[arg-type]  # Missing

    @overload
    def post(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def post(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def post(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for POST; see `route`."""
        return self.route("POST", template, handler, name=name)  # type: ignore[arg-type]  # Missing

    @overload
    def put(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def put(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def put(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for PUT; see `route`."""
        return self.route("PUT", template, handler, name=name)  # type: ignore[arg-type]  # Missing

    @overload
    def patch(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def patch(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def patch(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for PATCH; see `route`."""
        return self.route("PATCH", template, handler, name=name)  # type: ignore[arg-type]  # Missing

    @overload
    def delete(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def delete(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def delete(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for DELETE; see `route`."""
        return self.route("DELETE", template, handler, name=name)  # type: ignore[arg-type]  # Missing

    @overload
    def head(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def head(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def head(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for HEAD; see `route`."""
        return self.route("HEAD", template, handler, name=name)  # type: ignore[arg-type]  # Missing

    @overload
    def options(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def options(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def options(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for OPTIONS; see `route`."""
        return self.route("OPTIONS", template, handler, name=name)  # type: ignore[arg-type]  # Missing

    @overload
    def all(self, template: str, *, name: str | None = None) -> Callable[[H], H]: ...
    @overload
    def all(self, template: str, handler: HandlerLike, *, name: str | None = None) -> Self: ...
    def all(
        self,
        template: str,
        handler: HandlerLike | Missing = _MISSING,
        *,
        name: str | None = None,
    ) -> Self | Callable[[H], H]:
        """Add a route for all methods that the same path has no other route for; see `route`."""
        return self.route(None, template, handler, name=name)  # type: ignore[arg-type]  # Missing
