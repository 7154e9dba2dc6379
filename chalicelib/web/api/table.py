"""The API's routes, as one table; registered twice, with API keys under /v1 and with SigV4 under /iam/v1."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from chalice.app import Authorizer, Blueprint, Response

from chalicelib import logs
from chalicelib.records import Record
from chalicelib.web.api import accounts, callers, connectors, encryption, messages, providers, status
from chalicelib.web.api.calls import Call
from chalicelib.web.api.queries import CallerNamed, MessagesWanted, Page, Protocol, Query, require_known
from chalicelib.web.errors import answering

if TYPE_CHECKING:
    from chalicelib.web.api.identity import Identify
    from chalicelib.wiring import Gateway

ApiView = Callable[..., Record]

ROUTES: tuple[tuple[str, str, ApiView], ...] = (
    ("GET", "/providers", providers.listed),
    ("POST", "/connectors", connectors.create),
    ("GET", "/connectors", connectors.listed),
    ("GET", "/connectors/{connector}", connectors.show),
    ("PATCH", "/connectors/{connector}", connectors.change),
    ("DELETE", "/connectors/{connector}", connectors.delete),
    ("PUT", "/connectors/{connector}/secret", connectors.replace_secret),
    ("GET", "/connectors/{connector}/doctor", connectors.doctor),
    ("POST", "/accounts", accounts.create),
    ("GET", "/accounts", accounts.listed),
    ("GET", "/accounts/{account}", accounts.show),
    ("PATCH", "/accounts/{account}", accounts.change),
    ("POST", "/accounts/{account}/connect-link", accounts.renew_link),
    ("POST", "/accounts/{account}/connect", accounts.connect),
    ("POST", "/accounts/{account}/rollback", accounts.roll_back),
    ("POST", "/accounts/{account}/pause", accounts.pause),
    ("POST", "/accounts/{account}/resume", accounts.resume),
    ("POST", "/accounts/{account}/verify", accounts.verify),
    ("GET", "/accounts/{account}/doctor", accounts.doctor),
    ("POST", "/accounts/{account}/disconnect", accounts.disconnect),
    ("DELETE", "/accounts/{account}", accounts.delete),
    ("POST", "/accounts/{account}/restore", accounts.restore),
    ("POST", "/messages", messages.accept),
    ("GET", "/messages", messages.listed),
    ("GET", "/messages/{message}", messages.show),
    ("POST", "/messages/{message}/resolve", messages.resolve),
    ("POST", "/messages/{message}/cancel", messages.cancel),
    ("POST", "/callers", callers.create),
    ("GET", "/callers", callers.listed),
    ("PATCH", "/callers", callers.limit),
    ("DELETE", "/callers", callers.revoke_by_query),
    ("DELETE", "/callers/{caller}", callers.revoke),
    ("GET", "/whoami", callers.whoami),
    ("GET", "/status", status.show),
    ("POST", "/encryption/rewrap", encryption.rewrap),
)
"""Method, path and view. A view takes a Call and the path's parameters, and returns a Record."""

QUERIES: dict[ApiView, type[Query]] = {
    connectors.show: Page,
    accounts.listed: Page,
    accounts.verify: Protocol,
    accounts.doctor: Protocol,
    messages.listed: MessagesWanted,
    callers.limit: CallerNamed,
    callers.revoke_by_query: CallerNamed,
}
"""View → what it reads of the URL's query; nothing, where it is not named."""

STATUSES: dict[ApiView, int] = {
    connectors.create: 201,
    accounts.create: 201,
    accounts.renew_link: 201,
    callers.create: 201,
    messages.accept: 202,
}
"""View → the status of its success, where it is not 200."""

BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def api_blueprint(
    gateway: Callable[[], Gateway],
    identify: Identify,
    *,
    name: str,
    authorizer: Authorizer | None = None,
) -> Blueprint:
    """The API's Blueprint. `gateway` is called by each request; `identify` finds the caller of a request.

    `name` tells two Blueprints of one application apart; `authorizer` is API Gateway's, before every route.
    """
    blueprint = Blueprint(name)
    for method, path, view in ROUTES:
        blueprint.route(
            path,
            methods=[method],
            authorizer=authorizer,
            # Without a body, its content type does not matter: some clients always send one.
            content_types=["application/json"] if method in BODY_METHODS else ["*/*"],
        )(_door(blueprint, gateway, identify, view))
    return blueprint


def _door(
    blueprint: Blueprint, gateway: Callable[[], Gateway], identify: Identify, view: ApiView
) -> Callable[..., Response]:
    """The view behind the check of who is asking; what it returns or raises becomes an answer."""

    @answering
    @functools.wraps(view)
    def entered(**path: str) -> Response:
        request, services = blueprint.current_request, gateway()
        caller = identify(services.callers, request)
        with logs.about(caller=caller.id):
            call = Call(request, caller, services)
            require_known(request.query_params or (), QUERIES.get(view, Query))
            record = view(call, **path)
            return Response(record.to_json(), status_code=STATUSES.get(view, 200))

    return entered
