"""A router: the most specific route answers, and its parameters are on the conn.

.. code-block:: text

    _router      Router      routes to handlers; 405, HEAD, OPTIONS, slashes; names, mounts
    _verbs       Verbs       router.get(...), post, ..., as calls and as decorators
    _table       Table       a trie of segments: the most specific route for a path; no I/O
    _template    Template    /users/{id:int}: grammar, values, paths from values
    _converters  Converter   text to values and back
"""

from __future__ import annotations

from ...conn import Params
from ._converters import Converter
from ._router import Router
from ._verbs import Verbs

__all__ = ["Converter", "Params", "Router", "Verbs"]
