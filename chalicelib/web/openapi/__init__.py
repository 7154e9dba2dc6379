"""The API as OpenAPI 3.1, made from the table of routes and from the types that are read and answered.

Nothing of it is imported before somebody asks for it.
"""

from __future__ import annotations

from chalicelib.web.openapi.document import document

__all__ = ["document"]
