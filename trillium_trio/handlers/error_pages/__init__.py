"""Pages for errors: HTML, problem documents, or those of the application.

.. code-block:: text

    status 400 or more, and a body that says no more than that
        |
        |-- a page of the application for it     ErrorPages(pages={404: not_found})
        |-- debug, an exception, from loopback   the traceback, with locals      _debug
        `-- else                                 HTML, a problem document, text  _plain
"""

from __future__ import annotations

from ._handler import ErrorPages

__all__ = ["ErrorPages"]
