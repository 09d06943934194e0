"""Files of a folder, or of a package, as responses.

.. code-block:: text

    request --> _path      the path as names, or nothing: no name leads out of the root
                  |
                _folder    opened name by name below the root, in a worker thread;   _Folder
                  |        small files stay in memory while they are unchanged
                _bundle    the files of a package, in memory from the start          _Bundle
                  |
                _found     what is sent: content or open file, and its fields
                  |
                _static    preconditions, ranges, redirects, the fallback            Static

What is not found is passed on.
"""

from __future__ import annotations

from ._static import Static

__all__ = ["Static"]
