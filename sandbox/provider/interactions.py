"""Sign-in and consent: the steps between an authorization request and its callback.

An authorization request that is in order becomes an ``Interaction``; its pages have URLs of their own,
so that going back, reloading and typing a wrong address do what a person expects. It ends with the
callback.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from authlib.oauth2.rfc6749 import OAuth2Error
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.utils import redirect

from sandbox.provider.pages import page
from sandbox.provider.refusals import Reason, Refusal
from sandbox.provider.requests import ProviderRequest, Values

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from sandbox.provider.models import Client, User
    from sandbox.provider.oauth import OAuthServer
    from sandbox.provider.store import Store

# Browsers send cookies to every port of a host: the name must not collide with the application's.
COOKIE = "sandbox_provider_session"


@dataclass(frozen=True)
class Interaction:
    """An authorization request on its way through the pages. ``user`` is the address that signed in."""

    interaction_id: str
    server: OAuthServer
    tenant: str
    uri: str
    params: Values
    client: Client
    scopes: tuple[str, ...]
    user: str = ""

    @property
    def prompts(self) -> set[str]:
        """What the client asked to be shown."""
        return set(self.params.get("prompt", "").split())

    def request(self, scopes: tuple[str, ...]) -> ProviderRequest:
        """Return the authorization request as the person answered it: with these scopes."""
        params = self.params.copy()
        params["scope"] = " ".join(scopes)
        return ProviderRequest("GET", self.uri, params, MultiDict(), Headers(), self.tenant)


class Interactions:
    """The interactions under way, and the views of their pages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._open: dict[str, Interaction] = {}

    def start(self, web: Request, server: OAuthServer, request: ProviderRequest) -> Response:
        """Validate an authorization request and answer with its first step; raise ``OAuth2Error``."""
        grant = server.consent_grant(request, end_user=self._signed_in(web, server))
        interaction = Interaction(
            interaction_id=secrets.token_urlsafe(16),
            server=server,
            tenant=request.tenant,
            uri=request.uri,
            params=web.args.copy(),
            client=cast("Client", request.client),
            scopes=server.dialect.scopes(request.scope),
        )
        user = self._usable_session(web, interaction)
        if user:
            return self._after_sign_in(interaction, user)
        if "none" in interaction.prompts:
            raise Refusal(Reason.LOGIN_REQUIRED, redirect_uri=grant.redirect_uri)
        return self._show(interaction, "sign-in")

    def sign_in(self, web: Request, interaction_id: str) -> Response:
        """The sign-in page, and its answer."""
        interaction = self._find(interaction_id)
        if interaction is None:
            return _gone()
        if web.method == "GET":
            return self._sign_in_page(interaction, interaction.params.get("login_hint", ""))
        typed = web.form.get("mailbox", "").strip()
        try:
            user = self._admitted(interaction, typed)
        except Refusal as refusal:
            answer = interaction.server.dialect.refuse(refusal)
            return self._sign_in_page(interaction, typed, answer.description, answer.status)
        response = self._after_sign_in(interaction, user)
        self._remember(web, response, interaction.server, user)
        return response

    def consent(self, web: Request, interaction_id: str) -> Response:
        """The consent page, and its answer."""
        interaction = self._find(interaction_id)
        user = self._store.user(interaction.user) if interaction else None
        if interaction is None or user is None:
            return _gone()
        if web.method == "GET":
            return self._consent_page(interaction, user)
        decision = web.form.get("decision")
        if decision == "another":
            return self._show(interaction, "sign-in")
        if decision == "accept":
            ticked = web.form.getlist("scope")
            optional = interaction.server.dialect.is_optional
            scopes = tuple(s for s in interaction.scopes if not optional(s) or s in ticked)
            return self._finish(interaction, user if scopes else None, scopes, consent_shown=True)
        return self._finish(interaction, None, interaction.scopes, consent_shown=True)

    def clear(self) -> None:
        """Forget all interactions."""
        with self._lock:
            self._open.clear()

    # Steps

    def _after_sign_in(self, interaction: Interaction, user: User) -> Response:
        interaction = replace(interaction, user=user.address)
        grant = self._store.live_grant(interaction.client.client_id, user.address)
        known = bool(grant) and set(interaction.scopes) <= set(grant.scopes if grant else ())
        if known and "consent" not in interaction.prompts:
            return self._finish(interaction, user, interaction.scopes, consent_shown=False)
        if "none" in interaction.prompts:
            raise Refusal(Reason.CONSENT_REQUIRED, redirect_uri=interaction.params["redirect_uri"])
        return self._show(interaction, "consent")

    def _finish(
        self, interaction: Interaction, user: User | None, scopes: tuple[str, ...], *, consent_shown: bool
    ) -> Response:
        with self._lock:
            self._open.pop(interaction.interaction_id, None)
        request = interaction.request(scopes)
        request.consent_shown = consent_shown
        server = interaction.server
        try:
            grant = server.consent_grant(request, end_user=user or interaction.user)
        except OAuth2Error as error:
            return server.handle_error_response(request, error)
        return cast("Response", server.create_authorization_response(request, grant_user=user, grant=grant))

    def _show(self, interaction: Interaction, step: str) -> Response:
        with self._lock:
            self._open[interaction.interaction_id] = interaction
        return redirect(_path(interaction, step), 303)

    def _find(self, interaction_id: str) -> Interaction | None:
        with self._lock:
            return self._open.get(interaction_id)

    # Who it is

    def _admitted(self, interaction: Interaction, address: str) -> User:
        user = self._store.user(address)
        if user is None:
            raise Refusal(Reason.USER_UNKNOWN, user=address)
        interaction.server.dialect.check_user(user, interaction.tenant, interaction.client)
        return user

    def _signed_in(self, web: Request, server: OAuthServer) -> User | None:
        return self._store.signed_in(web.cookies.get(COOKIE, ""), server.dialect.name)

    def _usable_session(self, web: Request, interaction: Interaction) -> User | None:
        user = self._signed_in(web, interaction.server)
        hint = interaction.params.get("login_hint", "")
        if user is None or interaction.prompts & {"login", "select_account"}:
            return None
        return user if not hint or user.answers_to(hint) else None

    def _remember(self, web: Request, response: Response, server: OAuthServer, user: User) -> None:
        session = web.cookies.get(COOKIE) or secrets.token_urlsafe(16)
        self._store.sign_in(session, server.dialect.name, user.address)
        response.set_cookie(COOKIE, session, secure=True, httponly=True, samesite="Lax")

    # Pages

    def _sign_in_page(
        self, interaction: Interaction, hint: str, error: str = "", status: int = 200
    ) -> Response:
        dialect = interaction.server.dialect
        return page(
            "sign_in.html",
            status,
            provider=dialect.title,
            client_name=interaction.client.name,
            action=_path(interaction, "sign-in"),
            people=dialect.people(),
            hint=hint,
            error=error,
        )

    def _consent_page(self, interaction: Interaction, user: User) -> Response:
        dialect = interaction.server.dialect
        return page(
            "consent.html",
            provider=dialect.title,
            client_name=interaction.client.name,
            action=_path(interaction, "consent"),
            user=user,
            rows=dialect.consent_rows(interaction.scopes),
            redirect_uri=interaction.params["redirect_uri"],
        )


def _path(interaction: Interaction, step: str) -> str:
    return f"/_pages/{interaction.interaction_id}/{step}"


def _gone() -> Response:
    text = "This sign-in is finished or unknown. Start again from the application."
    return page("error.html", 410, provider="a mail provider", description=text, name="sign_in_finished")
