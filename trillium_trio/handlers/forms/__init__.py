"""Forms and uploads: urlencoded and multipart, read whole or part by part.

.. code-block:: text

    request body --> PartReader --> Part, Part, ...    as they arrive: Forms.of(conn).parts()
                         |
                         v  text to memory, files to memory or disk
                       Form                            all of it: Forms.of(conn).read()
"""

from __future__ import annotations

from ._form import Form, Upload
from ._handler import FormReader, Forms
from ._parts import Part, PartReader

__all__ = ["Form", "FormReader", "Forms", "Part", "PartReader", "Upload"]
