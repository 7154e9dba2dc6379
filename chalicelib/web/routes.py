"""Every route: the API, the pages of connecting a mailbox, and what needs no key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Blueprint, Chalice, IAMAuthorizer, Response

from chalicelib.errors import NotFound
from chalicelib.web.api.identity import by_key, by_signature
from chalicelib.web.api.installation import Health
from chalicelib.web.api.table import api_blueprint
from chalicelib.web.errors import answering, reshape
from chalicelib.web.pages import connect, owner
from chalicelib.web.pages.pages import pages_blueprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.wiring import Gateway

NOWHERE = ("/", "/{proxy+}")
"""Paths that stand for all at which nothing is. In a request to a path that API Gateway does not know it
takes a key for a broken signature, and refuses it by 403."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def register_routes(app: Chalice, gateway: Callable[[], Gateway]) -> None:
    """Registers every route. `gateway` is called by requests, never here."""
    app.register_middleware(reshape, "http")
    app.register_blueprint(api_blueprint(gateway, by_key, name="chalicelib.web.keys"), url_prefix="/v1")
    signed = api_blueprint(gateway, by_signature, name="chalicelib.web.signed", authorizer=IAMAuthorizer())
    app.register_blueprint(signed, url_prefix="/iam/v1")
    app.register_blueprint(pages_blueprint(gateway, (*connect.ROUTES, *owner.ROUTES)))
    app.register_blueprint(_keyless(gateway))
    app.register_blueprint(_nowhere())


def _keyless(gateway: Callable[[], Gateway]) -> Blueprint:
    """What everybody may ask."""
    blueprint = Blueprint("chalicelib.web.keyless")

    @blueprint.route("/healthz", methods=["GET", "HEAD"], content_types=["*/*"])
    @answering
    def healthz() -> Response:
        """Whether the function runs and its settings can be read; asks nothing else."""
        return Response(Health(status="ok", stage=gateway().settings.stage).to_json())

    @blueprint.route("/openapi.json", methods=["GET", "HEAD"], content_types=["*/*"])
    @answering
    def described() -> Response:
        """The API's description (OpenAPI 3.1)."""
        from chalicelib.web.openapi import document

        return Response(document())

    return blueprint


def _nowhere() -> Blueprint:
    """What is answered at every other path."""
    blueprint = Blueprint("chalicelib.web.nowhere")

    @answering
    def nowhere() -> Response:
        """There is nothing at this path."""
        raise NotFound("There is nothing at this path.", fix="Check the path; /openapi.json lists them all.")

    for path in NOWHERE:
        blueprint.route(path, methods=list(METHODS), content_types=["*/*"])(nowhere)
    return blueprint
