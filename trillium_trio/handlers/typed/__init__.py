"""Functions with typed arguments as handlers, and their description.

.. code-block:: text

    _openapi      OpenApi      serves /openapi.json and a page
    _page         page_of      the page: HTML from the document
    _document     document_of  OpenAPI 3.1 from routes and functions
    _handler      api          a function as a handler
    _results      responder_of     what it returns, as a response
    _bodies       body_reader_of   the argument that is the body
    _outcomes     outcomes_of      what it answers with, by its annotation
    _parameters   parameters_of    where each argument comes from
    _markers      FromHeader, ...  for ``Annotated``
    _negotiation  check_accept     media types
    _codec        decoder_of, ...  JSON, text, schemas: msgspec, and models of pydantic
    _problem      Problem          problem documents
"""

from __future__ import annotations

from ._handler import api
from ._markers import FromCookie, FromForm, FromHeader, FromQuery
from ._openapi import OpenApi
from ._problem import Problem

__all__ = ["FromCookie", "FromForm", "FromHeader", "FromQuery", "OpenApi", "Problem", "api"]
