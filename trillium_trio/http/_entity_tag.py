"""Entity tags: the names of versions of a representation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self, final

__all__ = ["EntityTag", "parse_entity_tags"]

# RFC 9110, 8.8.3: etagc is VCHAR but the quote, and obs-text.
_OPAQUE = re.compile(r"[!#-~\x80-\xff]*")
_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[!#-~\x80-\xff]*)"')
# A member of a list, with what follows it. Members may be empty (RFC 9110, 5.6.1.2).
_MEMBER = re.compile(rf"[ \t,]*(?:{_TAG.pattern})[ \t]*(?:,|$)")


@final
@dataclass(frozen=True, slots=True)
class EntityTag:
    """An entity tag (RFC 9110, 8.8.3): two equal ones name the same version.

    Args:
      opaque: What stands between the quotes.
      is_weak: Whether equal tags mean equivalent content only, not the same bytes.

    Raises:
      ValueError: The text has a quote, white space or a control character, or one outside latin-1.
    """

    opaque: str
    is_weak: bool = False

    def __post_init__(self) -> None:
        if _OPAQUE.fullmatch(self.opaque) is None:
            raise ValueError(f"{self.opaque!r} cannot be an entity tag (RFC 9110, 8.8.3)")

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the tag of an ETag field, or None if the text is not one."""
        found = _TAG.fullmatch(text)
        return None if found is None else cls(found["opaque"], found["weak"] is not None)

    @classmethod
    def of_content(cls, data: bytes, *, is_weak: bool = False) -> Self:
        """Return a tag that is made of the content: a hash of 128 bits."""
        return cls(blake2b(data, digest_size=16).hexdigest(), is_weak)

    def is_same(self, other: EntityTag) -> bool:
        """Whether both name the same bytes: the strong comparison (RFC 9110, 8.8.3.2)."""
        return not (self.is_weak or other.is_weak) and self.opaque == other.opaque

    def is_equivalent(self, other: EntityTag) -> bool:
        """Whether both name equivalent content: the weak comparison (RFC 9110, 8.8.3.2)."""
        return self.opaque == other.opaque

    def __str__(self) -> str:
        """Return the tag as a field has it."""
        return f'{"W/" if self.is_weak else ""}"{self.opaque}"'


def parse_entity_tags(text: str) -> tuple[EntityTag, ...]:
    """Return the tags of a list, up to the first member that is not one."""
    tags = []
    at = 0
    while (found := _MEMBER.match(text, at)) is not None:
        tags.append(EntityTag(found["opaque"], found["weak"] is not None))
        at = found.end()
    return tuple(tags)
