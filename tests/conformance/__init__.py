"""What other projects' tests say about HTTP/1.1, asked of the codec and of a live server.

*The request corpora.* A corpus is a folder with a ``cases.jsonl``: one JSON object a line, with
``id``, ``input_b64`` (the bytes of one connection), ``expect`` and, where known, ``requests``. The
corpora are other projects' work under their own licences and are not part of this one. Put them
into ``tests/conformance/corpora`` or name their folder::

    python -m pytest tests/conformance --corpora PATH [--write-table]

Each case is read several times over, and all readings have to agree:

.. code-block:: text

                    the codec    a server in memory     a server on loopback TCP
    in one piece    test_case                           test_case_over_tcp
    byte by byte    test_case    test_case_in_memory    test_accepted_case_over_tcp_bytewise

Without the corpora none of this is collected; ``test_elsewhere.py`` puts a few connections of our
own through the same code. The verdicts are those projects'; where ours differs on purpose,
``differences.json`` names the case and the section that says why, and an entry that no longer
differs fails.

*Http11Probe.* ``_http11probe.py`` lists what that probe sends and which answers it takes;
``test_http11probe.py`` sends the same bytes. It needs nothing from elsewhere.

The tables of ``docs/reference/conformance.md`` are written by these tests (``--write-table``), and
a test fails when they are not what the tests find.
"""
