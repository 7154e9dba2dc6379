"""HTTP: the API, the pages of connecting a mailbox, and the health check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Blueprint, Chalice, IAMAuthorizer, Response

from chalicelib.web.api import api_blueprint
from chalicelib.web.connect import connect_blueprint
from chalicelib.web.errors import answering, reshape
from chalicelib.web.identity import by_key, by_signature

if TYPE_CHECKING:
    from chalicelib.web.services import GetServices


def register(app: Chalice, services: GetServices) -> None:
    """Registers every route and the middleware. `services` is called by requests, never here."""
    app.register_middleware(reshape, "http")
    app.register_blueprint(api_blueprint(services, by_key, name="chalicelib.web.keys"), url_prefix="/v1")
    signed = api_blueprint(services, by_signature, name="chalicelib.web.signed", authorizer=IAMAuthorizer())
    app.register_blueprint(signed, url_prefix="/iam/v1")
    app.register_blueprint(connect_blueprint(services))
    app.register_blueprint(_health(services))


def _health(services: GetServices) -> Blueprint:
    blueprint = Blueprint("chalicelib.web.health")

    @blueprint.route("/healthz", methods=["GET", "HEAD"], content_types=["*/*"])
    @answering
    def healthz() -> Response:
        """Whether the function runs and its settings can be read; asks nothing else."""
        return Response({"status": "ok", "stage": services().settings.stage})

    return blueprint
