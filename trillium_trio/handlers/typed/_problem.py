"""Problem documents (RFC 9457): errors that say what was wrong, for programs and people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final
from urllib.parse import quote

from ...exceptions import HttpError
from ...http import reason_phrase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...exceptions import HasItems

__all__ = ["PROBLEM_TYPE", "Fault", "Problem", "invalid", "problem_from"]

PROBLEM_TYPE = "application/problem+json"

# RFC 3986, 3.5: what a fragment may have, besides letters, digits and the unreserved characters.
_IN_FRAGMENT = "/?:@!$&'()*+,;="

Place = Literal["path", "query", "header", "cookie", "body"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a request.

    Attributes:
      place: Where it is.
      name: The name of the parameter; for the body a JSON pointer (RFC 6901), empty for all of it.
      detail: What was expected.
    """

    place: Place
    name: str
    detail: str

    def document(self) -> dict[str, str]:
        """Return it as an entry of ``errors``; a pointer as a URI fragment, as in RFC 9457, 3."""
        if self.place == "body":
            pointer = quote(self.name, safe=_IN_FRAGMENT)
            return {"in": "body", "pointer": f"#{pointer}", "detail": self.detail}
        return {"in": self.place, "parameter": self.name, "detail": self.detail}


class Problem(HttpError):
    """Raise it to answer with a problem document, in any handler.

    Unlike the message of an `HttpError`, the client gets all that it says.

    Args:
      status: The status code of the answer, 400 to 599.
      detail: What is wrong with this request, for a person.
      type: A URI that identifies the kind of problem. None: there is no more to say than the
        status.
      title: A short name of that kind. Default: the reason phrase of the status.
      headers: Header fields of the answer, as a mapping or as pairs.
      extensions: More members of the document; values of JSON.

    Raises:
      ValueError, TypeError: As for `HttpError`; or an extension is not a value of JSON.
    """

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 (the name in RFC 9457)
        title: str | None = None,
        headers: HasItems | Iterable[tuple[str, str]] = (),
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(status, detail or "", headers)
        self.headers: tuple[tuple[str, str], ...] = (
            *(each for each in self.headers if each[0].lower() != "content-type"),
            ("content-type", PROBLEM_TYPE),
        )
        document = {
            "type": type,
            "title": title or reason_phrase(status) or None,
            "status": int(status),
            "detail": detail,
            **(extensions or {}),
        }
        present = {name: value for name, value in document.items() if value is not None}
        self.body: bytes | None = json.dumps(present, allow_nan=False).encode()


def problem_from(error: HttpError) -> Problem:
    """Return an error as a problem; its message is for the log, so the document has none."""
    if isinstance(error, Problem):
        return error
    problem = Problem(error.status, headers=error.headers)
    problem.message = error.message
    return problem


def invalid(status: int, faults: Iterable[Fault]) -> Problem:
    """Return the problem of a request with faults."""
    documents = [each.document() for each in faults]
    names = ", ".join(each.get("parameter", each.get("pointer", "")) for each in documents)
    problem = Problem(
        status, "the request is not as this resource expects", extensions={"errors": documents}
    )
    problem.message = f"not as expected: {names}"
    return problem
