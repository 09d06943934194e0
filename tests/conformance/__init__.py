"""The request corpora of other projects, run through the codec.

A corpus is a folder with a ``cases.jsonl``: one JSON object a line, with ``id``, ``input_b64`` (the
bytes of one connection), ``expect`` and, where known, ``requests``. The corpora are other
projects' work under their own licences and are not part of this one. Put them into
``tests/conformance/corpora`` or name their folder::

    python -m pytest tests/conformance --corpora PATH

Without them nothing here runs but one test, which says so. The verdicts are those projects'; where
ours differs on purpose, ``differences.json`` names the case and the section that says why, and an
entry that no longer differs fails.
"""
