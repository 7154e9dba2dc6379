"""The provider as a WSGI application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from authlib.oauth2.rfc6749 import OAuth2Error
from joserfc.jwk import KeySet, RSAKey
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from sandbox.provider.answers import Speaker, as_json, error_page, fault_answer, outcome, refused, without
from sandbox.provider.assertions import Assertion
from sandbox.provider.clouds import CLOUDS
from sandbox.provider.control import Control
from sandbox.provider.faults import Fault, FaultBook, RequestFacts
from sandbox.provider.gmail import Gmail
from sandbox.provider.google import Google
from sandbox.provider.graph import Graph
from sandbox.provider.interactions import Interactions
from sandbox.provider.microsoft import Microsoft
from sandbox.provider.models import TokenRequest
from sandbox.provider.oauth import OAuthServer
from sandbox.provider.openid import OpenId
from sandbox.provider.own_grants import AppGrant, ServiceAccountGrant
from sandbox.provider.refusals import Refusal
from sandbox.provider.requests import ProviderRequest
from sandbox.provider.urls import URLS

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from sandbox.provider.dialect import Dialect, Json
    from sandbox.provider.mail_api import MailApi
    from sandbox.provider.store import Store

View = Callable[[], Response]
MAX_REQUEST_BYTES = 65536
PRESENTED = {
    "state": "state",
    "code_verifier": "verifier",
    "client_secret": "client secret",
    "client_assertion": "client assertion",
    "assertion": "assertion",
}
"""Parameters of requests that are secrets, and the kinds under which they are noted."""


class Application:
    """All providers, their pages and the control API at one origin. ``key`` signs ID tokens."""

    def __init__(self, base_url: str, store: Store, faults: FaultBook, key: RSAKey) -> None:
        self._store = store
        self._faults = faults
        self._keys = KeySet([key])
        self._servers = {
            f"microsoft{cloud.path}": OAuthServer(
                Microsoft(base_url, store.users, cloud), store, key, AppGrant
            )
            for cloud in CLOUDS
        }
        self._servers["google"] = OAuthServer(Google(base_url, store.users), store, key, ServiceAccountGrant)
        self._servers["openid"] = OAuthServer(OpenId(base_url, store.users), store, key)
        self._apis: dict[str, MailApi] = {
            f"graph{path}": Graph(resource, store)
            for cloud in CLOUDS
            for resource, path in cloud.graphs.items()
        }
        self._apis["gmail"] = Gmail(store)
        self._interactions = Interactions(store)
        self._control = Control(store, faults)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        request.max_content_length = MAX_REQUEST_BYTES
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        try:
            endpoint, values = URLS.bind_to_environ(request.environ).match()
            area, _, name = endpoint.partition(".")
            if area == "control":
                return self._control_call(name, request)
            if area == "pages":
                return self._page(name, request, **values)
            if area in self._apis:
                return self._api_call(self._apis[area], request, **values)
            return self._provider_call(self._servers[area], name, request, **values)
        except HTTPException as error:
            return as_json({"error": error.name, "error_description": error.description}, error.code or 500)

    # Areas

    def _control_call(self, name: str, request: Request) -> Response:
        def view() -> Response:
            answer: Json = getattr(self._control, name)(request)
            return as_json(answer)

        if name == "reset":
            self._interactions.clear()
        return self._with_fault(RequestFacts(endpoint=name), None, view)

    def _page(self, name: str, request: Request, interaction_id: str) -> Response:
        views = {"sign_in": self._interactions.sign_in, "consent": self._interactions.consent}
        return views[name](request, interaction_id)

    def _api_call(self, api: MailApi, request: Request, mailbox: str) -> Response:
        token = api.token_of(request)
        facts = RequestFacts(
            endpoint=api.name,
            provider=api.provider,
            client_id=token.client_id if token else "",
            user=token.user if token and token.user else mailbox,
        )
        return self._carry_out(self._faults.take(facts), api, lambda: api.answer(request, mailbox))

    def _provider_call(self, server: OAuthServer, name: str, request: Request, tenant: str = "") -> Response:
        oauth = ProviderRequest(
            request.method, request.url, request.args, request.form, request.headers, tenant
        )
        for parameter, kind in PRESENTED.items():
            if value := oauth.payload.data.get(parameter):
                self._store.note_secret(kind, value)
        if name == "token":
            return self._token(server, oauth)
        dialect = server.dialect
        views: dict[str, View] = {
            "authorize": lambda: self._authorize(server, request, oauth),
            "discovery": lambda: self._discovery(dialect, tenant),
            "jwks": lambda: as_json(dict(self._keys.as_dict(private=False))),
            "revoke": lambda: self._revoke(server, oauth),
            "userinfo": lambda: self._userinfo(dialect, request),
        }
        facts = RequestFacts(
            endpoint=name, provider=dialect.name, client_id=request.args.get("client_id", "")
        )
        return self._with_fault(facts, dialect, views[name])

    # Endpoints

    def _authorize(self, server: OAuthServer, request: Request, oauth: ProviderRequest) -> Response:
        try:
            return self._interactions.start(request, server, oauth)
        except OAuth2Error as error:
            prompt_none = oauth.payload.data.get("prompt") == "none"
            if error.redirect_uri and (server.dialect.redirects_errors or prompt_none):
                return server.handle_error_response(oauth, error)
            return error_page(server.dialect, error)

    def _discovery(self, dialect: Dialect, tenant: str) -> Response:
        try:
            return as_json(dialect.metadata(tenant))
        except Refusal as refusal:
            return refused(dialect.refuse(refusal))

    def _revoke(self, server: OAuthServer, oauth: ProviderRequest) -> Response:
        try:
            known = server.revoke(oauth)
        except OAuth2Error as error:
            return server.handle_error_response(oauth, error)
        if known or server.dialect.revokes_unknown:
            return as_json({})
        return as_json({"error": "invalid_token", "error_description": "Token expired or revoked"}, 400)

    def _userinfo(self, dialect: Dialect, request: Request) -> Response:
        bearer = request.authorization.token if request.authorization else None
        token = self._store.access_token(bearer or "")
        user = self._store.user(token.user) if token else None
        if token is None or user is None or self._store.why_inactive(token):
            return as_json({"error": "invalid_request", "error_description": "Invalid Credentials"}, 401)
        return as_json(dialect.userinfo(user, token.scopes))

    # The token endpoint, with its log

    def _token(self, server: OAuthServer, oauth: ProviderRequest) -> Response:
        facts = self._facts(server, oauth)

        def view() -> Response:
            with self._store.transaction():
                return cast("Response", server.create_token_response(oauth))

        fault = self._faults.take(facts)
        try:
            response = self._carry_out(fault, server.dialect, view)
        except ConnectionAbortedError:
            self._log(facts, oauth, fault, None)
            raise
        self._log(facts, oauth, fault, response)
        self._note_identity(response)
        return response

    def _note_identity(self, response: Response) -> None:
        body: Any = response.get_json(silent=True)
        if isinstance(body, dict) and isinstance(body.get("id_token"), str):
            self._store.note_secret("ID token", body["id_token"])

    def _facts(self, server: OAuthServer, oauth: ProviderRequest) -> RequestFacts:
        form = oauth.form
        refresh = self._store.refresh_token(form.get("refresh_token", ""))
        source = refresh or self._store.code(form.get("code", ""))
        basic_id, _ = oauth.basic_credentials
        subject, account = self._service_account(form.get("assertion", ""))
        return RequestFacts(
            endpoint="token",
            provider=server.dialect.name,
            client_id=form.get("client_id") or basic_id or account,
            user=source.user if source else subject,
            grant_type=form.get("grant_type", ""),
            scope=form.get("scope", ""),
            presented=refresh.serial if refresh else None,
        )

    def _service_account(self, text: str) -> tuple[str, str]:
        """Whom a service account wants to act for, and its client id."""
        try:
            assertion = Assertion.read(text)
        except ValueError:
            return "", ""
        account = self._store.service_account(assertion.claim("iss"))
        return assertion.claim("sub"), account.client_id if account else ""

    def _log(
        self, facts: RequestFacts, oauth: ProviderRequest, fault: Fault | None, response: Response | None
    ) -> None:
        body: Any = response.get_json(silent=True) if response else None
        body = body if isinstance(body, dict) else {}
        said, codes = outcome(response, body)
        self._store.log(
            TokenRequest(
                number=0,
                time=self._store.clock(),
                provider=facts.provider,
                client_id=facts.client_id,
                grant_type=facts.grant_type,
                user=facts.user,
                scope=facts.scope,
                status=response.status_code if response else 0,
                outcome=said,
                code=codes,
                injected=fault is not None,
                presented=facts.presented,
                issued_refresh=oauth.issued_refresh,
                issued_access=oauth.issued_access,
            )
        )

    # Faults

    def _with_fault(self, facts: RequestFacts, dialect: Dialect | None, view: View) -> Response:
        return self._carry_out(self._faults.take(facts), dialect or self._servers["google"].dialect, view)

    def _carry_out(self, fault: Fault | None, speaker: Speaker, view: View) -> Response:
        if fault is None:
            return view()
        time.sleep(fault.delay)
        if fault.drop == "before":
            raise ConnectionAbortedError
        response = fault_answer(fault, speaker) if fault.answers else view()
        if fault.drop == "after":
            raise ConnectionAbortedError
        return without(response, fault.omit)
