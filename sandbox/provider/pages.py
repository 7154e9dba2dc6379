"""The pages that a person sees: sign-in, consent, error."""

from __future__ import annotations

import functools

import jinja2
from werkzeug.wrappers import Response

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(template: str, status: int = 200, **values: object) -> Response:
    """Render one of the templates; all values are escaped."""
    text = _templates().get_template(template).render(status=status, **values)
    return Response(text, status, _HEADERS, mimetype="text/html")


@functools.cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("sandbox.provider")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
