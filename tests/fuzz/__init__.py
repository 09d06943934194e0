"""Fuzzing: bytes that nobody thought of, held against what has to be true of all bytes.

.. code-block:: text

    corpus/TARGET/*  --->  TARGET(data)  --->  AssertionError, or whatever escaped: a finding
          ^                    ^
          | findings           | mutated, guided by coverage
          +------- atheris ----+          python -m tests.fuzz TARGET --seconds 600

A *target* is a function of bytes that returns nothing and raises if an invariant does not hold. It
depends on those bytes alone: what else it needs, such as where to cut them, it draws from them.
The same functions run over the corpus in every test run (`test_corpus.py`), without atheris.

What holds for all input:

* Nothing is raised but what the called function says that it raises, and its message is one short
  printable line: it goes to a log.
* One input has one reading: whole, byte by byte or cut anywhere, with the same error at the same
  byte.
* What is taken, h11 takes alike.
* What is kept while waiting for more is bounded by the limits, and each head is parsed once.
"""
