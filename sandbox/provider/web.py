"""The URLs of the provider, as a WSGI application."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from authlib.oauth2.rfc6749 import OAuth2Error
from joserfc.jwk import KeySet, RSAKey
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule, Submount
from werkzeug.wrappers import Request, Response

from sandbox.provider.control import Control
from sandbox.provider.faults import Fault, FaultBook, RequestFacts
from sandbox.provider.google import Google
from sandbox.provider.interactions import Interactions
from sandbox.provider.microsoft import Microsoft
from sandbox.provider.models import TokenRequest
from sandbox.provider.oauth import OAuthServer
from sandbox.provider.pages import page
from sandbox.provider.refusals import Refusal
from sandbox.provider.requests import ProviderRequest

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from sandbox.provider.dialect import Dialect, Json
    from sandbox.provider.store import Store

View = Callable[[], Response]
MAX_REQUEST_BYTES = 65536
PRESENTED = {"state": "state", "code_verifier": "verifier", "client_secret": "client secret"}
"""Parameters of requests that are secrets, and the kinds under which they are noted."""

# endpoint names are "<dialect>.<endpoint>", "pages.<step>" and "control.<call>".
URLS = Map(
    [
        Rule("/<tenant>/oauth2/v2.0/authorize", endpoint="microsoft.authorize", methods=["GET"]),
        Rule("/<tenant>/oauth2/v2.0/token", endpoint="microsoft.token", methods=["POST"]),
        Rule("/<tenant>/v2.0/.well-known/openid-configuration", endpoint="microsoft.discovery"),
        Rule("/<tenant>/discovery/v2.0/keys", endpoint="microsoft.jwks"),
        Rule("/o/oauth2/v2/auth", endpoint="google.authorize", methods=["GET"]),
        Rule("/token", endpoint="google.token", methods=["POST"]),
        Rule("/revoke", endpoint="google.revoke", methods=["POST"]),
        Rule("/v1/userinfo", endpoint="google.userinfo"),
        Rule("/oauth2/v3/certs", endpoint="google.jwks"),
        Rule("/.well-known/openid-configuration", endpoint="google.discovery"),
        Rule("/_pages/<interaction_id>/sign-in", endpoint="pages.sign_in", methods=["GET", "POST"]),
        Rule("/_pages/<interaction_id>/consent", endpoint="pages.consent", methods=["GET", "POST"]),
        Submount(
            "/_control",
            [
                Rule("/clients", endpoint="control.register_client", methods=["POST"]),
                Rule("/users", endpoint="control.register_user", methods=["POST"]),
                Rule("/settings", endpoint="control.settings", methods=["GET", "POST"]),
                Rule("/faults", endpoint="control.faults", methods=["GET", "POST", "DELETE"]),
                Rule("/revoke", endpoint="control.revoke", methods=["POST"]),
                Rule("/tokens", endpoint="control.tokens", methods=["GET"]),
                Rule("/token-requests", endpoint="control.token_requests", methods=["GET"]),
                Rule("/secrets", endpoint="control.secrets", methods=["GET"]),
                Rule("/introspect", endpoint="control.introspect", methods=["POST"]),
                Rule("/reset", endpoint="control.reset", methods=["POST"]),
            ],
        ),
    ]
)


class Application:
    """Both providers, their pages and the control API at one origin. ``key`` signs ID tokens."""

    def __init__(self, base_url: str, store: Store, faults: FaultBook, key: RSAKey) -> None:
        self._store = store
        self._faults = faults
        self._keys = KeySet([key])
        self.microsoft = Microsoft(base_url, store.users)
        self.google = Google(base_url, store.users)
        self._servers = {
            dialect.name: OAuthServer(dialect, store, key) for dialect in (self.microsoft, self.google)
        }
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
            return self._provider_call(self._servers[area], name, request, **values)
        except HTTPException as error:
            return _json({"error": error.name, "error_description": error.description}, error.code or 500)

    # Areas

    def _control_call(self, name: str, request: Request) -> Response:
        def view() -> Response:
            answer: Json = getattr(self._control, name)(request)
            return _json(answer)

        if name == "reset":
            self._interactions.clear()
        return self._with_fault(RequestFacts(endpoint=name), None, view)

    def _page(self, name: str, request: Request, interaction_id: str) -> Response:
        views = {"sign_in": self._interactions.sign_in, "consent": self._interactions.consent}
        return views[name](request, interaction_id)

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
            "jwks": lambda: _json(dict(self._keys.as_dict(private=False))),
            "revoke": lambda: self._revoke(request),
            "userinfo": lambda: self._userinfo(request),
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
            return _error_page(server.dialect, error)

    def _discovery(self, dialect: Dialect, tenant: str) -> Response:
        if isinstance(dialect, Google):
            return _json(dialect.discovery())
        try:
            self.microsoft.check_known(tenant)
        except Refusal as refusal:
            answer = dialect.refuse(refusal)
            return _json(answer.body, answer.status)
        return _json(self.microsoft.discovery(tenant))

    def _revoke(self, request: Request) -> Response:
        value = request.values.get("token", "")
        token = self._store.refresh_token(value) or self._store.access_token(value)
        if token is None or self._store.has_ended(token):
            return _json({"error": "invalid_token", "error_description": "Token expired or revoked"}, 400)
        # Google revokes the whole grant, whichever of its tokens is named.
        self._store.end_grant(token.grant_id)
        self._store.end_access_tokens(token.grant_id)
        return _json({})

    def _userinfo(self, request: Request) -> Response:
        bearer = request.authorization.token if request.authorization else None
        token = self._store.access_token(bearer or "")
        user = self._store.user(token.user) if token else None
        if token is None or user is None or self._is_over(token.value):
            return _json({"error": "invalid_request", "error_description": "Invalid Credentials"}, 401)
        return _json(self.google.userinfo(user, token.scopes))

    def _is_over(self, value: str) -> bool:
        token = self._store.access_token(value)
        return token is None or self._store.has_ended(token) or token.expires_at <= self._store.clock()

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
        return RequestFacts(
            endpoint="token",
            provider=server.dialect.name,
            client_id=form.get("client_id") or basic_id or "",
            user=source.user if source else "",
            grant_type=form.get("grant_type", ""),
            scope=form.get("scope", ""),
            presented=refresh.serial if refresh else None,
        )

    def _log(
        self, facts: RequestFacts, oauth: ProviderRequest, fault: Fault | None, response: Response | None
    ) -> None:
        body: Any = response.get_json(silent=True) if response else None
        body = body if isinstance(body, dict) else {}
        outcome, codes = _outcome(response, body)
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
                outcome=outcome,
                code=codes,
                injected=fault is not None,
                presented=facts.presented,
                issued_refresh=oauth.issued_refresh,
                issued_access=oauth.issued_access,
            )
        )

    # Faults

    def _with_fault(self, facts: RequestFacts, dialect: Dialect | None, view: View) -> Response:
        return self._carry_out(self._faults.take(facts), dialect or self.google, view)

    def _carry_out(self, fault: Fault | None, dialect: Dialect, view: View) -> Response:
        if fault is None:
            return view()
        time.sleep(fault.delay)
        if fault.drop == "before":
            raise ConnectionAbortedError
        response = _fault_answer(fault, dialect) if fault.answers else view()
        if fault.drop == "after":
            raise ConnectionAbortedError
        return _without(response, fault.omit)


def _outcome(response: Response | None, body: Json) -> tuple[str, str]:
    if response is None:
        return "dropped", ""
    codes = body.get("error_codes")
    code = f"AADSTS{codes[0]}" if isinstance(codes, list) and codes else ""
    if "error" in body:
        return str(body["error"]), code
    return ("ok" if "access_token" in body else "fault"), code


def _fault_answer(fault: Fault, dialect: Dialect) -> Response:
    named = dialect.named_error(fault.error, "") if fault.error else None
    status = fault.status or (named.status if named else 200)
    body = fault.body if fault.body is not None else (named.body if named else "")
    content = body if isinstance(body, str) else json.dumps(body)
    mimetype = "text/html" if isinstance(body, str) else "application/json"
    response = Response(content, status, content_type=fault.content_type or mimetype)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response


def _without(response: Response, fields: tuple[str, ...]) -> Response:
    if fields:
        body = {key: value for key, value in response.get_json().items() if key not in fields}
        response.set_data(json.dumps(body))
    return response


def _json(body: Json, status: int = 200) -> Response:
    return Response(json.dumps(body), status, {"Cache-Control": "no-store"}, mimetype="application/json")


def _error_page(dialect: Dialect, error: OAuth2Error) -> Response:
    answer = dialect.refuse(error)
    return page(
        "error.html",
        answer.status,
        provider=dialect.title,
        description=answer.description,
        name=answer.error,
    )
