"""Microsoft's identity platform, v2.0 endpoints; see https://learn.microsoft.com/entra/identity-platform."""

# ruff: noqa: ARG002 - an interface's arguments are not needed by every implementation
from __future__ import annotations

import base64
import json
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.provider import permissions
from sandbox.provider.applications import check_certificate, check_federation
from sandbox.provider.clouds import CLOUDS, Cloud
from sandbox.provider.dialect import IDENTITY_SCOPES, Dialect, ErrorAnswer, Json, ScopeRow, random_text
from sandbox.provider.microsoft_errors import ERRORS, NAMED
from sandbox.provider.refusals import Reason, Refusal
from sandbox.provider.work_tokens import work_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandbox.provider.assertions import Assertion
    from sandbox.provider.models import AccessToken, Client, Grant, User

CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
SHARED_TENANTS = ("common", "organizations", "consumers")
CONSENT_NUMBER = 65001


class Microsoft(Dialect):
    """Plays Microsoft: one token per resource, errors that carry AADSTS numbers."""

    name = "microsoft"
    title = "Microsoft"
    auth_methods = ("private_key_jwt", "client_secret_post", "client_secret_basic")
    redirects_errors = True
    scope_texts = permissions.TEXTS

    def __init__(self, base_url: str, users: Callable[[], Iterable[User]], cloud: Cloud = CLOUDS[0]) -> None:
        super().__init__(base_url + cloud.path, users)
        self.cloud = cloud
        self._permissions = dict.fromkeys(cloud.outlooks, permissions.OF_MAIL)
        self._permissions |= dict.fromkeys(cloud.graphs, permissions.OF_GRAPH)

    def explain(self, reason: Reason, details: Mapping[str, str], correlation_id: str) -> ErrorAnswer:
        """Answer in the form of the real token service, with its trace and correlation ids."""
        status, error, number, text = ERRORS[reason]
        return self._answer(status, error, number, _fill(text, details), correlation_id)

    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Take ``AADSTS<number>``, or an OAuth error name, which then carries the number 70000."""
        match = re.fullmatch(r"AADSTS(\d+)", name)
        if match is None:
            return self._answer(400, name, 70000, "This error was ordered by a test.", correlation_id)
        number = int(match[1])
        ours = next((row for row in ERRORS.values() if row[2] == number), None)
        known = NAMED.get(number, (ours[0], ours[1], ours[3]) if ours else None)
        status, error, text = known or (400, "invalid_grant", "This error was ordered by a test.")
        return self._answer(status, error, number, _fill(text, {}), correlation_id)

    def _answer(self, status: int, error: str, number: int, text: str, correlation_id: str) -> ErrorAnswer:
        timestamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
        trace = str(uuid.uuid4())
        correlation = correlation_id or str(uuid.uuid4())
        description = (
            f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
        )
        body: Json = {
            "error": error,
            "error_description": description,
            "error_codes": [number],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{self.base_url}/error?code={number}",
        }
        if number == CONSENT_NUMBER and error == "invalid_grant":
            body["suberror"] = "consent_required"
        return ErrorAnswer(status, error, description, body)

    def serves(self, client: Client) -> bool:
        """An application is known in its own cloud only."""
        return super().serves(client) and client.cloud == self.cloud.name

    def stranger(self, client: Client | None) -> Reason:
        """An application of another cloud is told so."""
        here = client is not None and client.provider == self.name
        return Reason.CROSS_CLOUD if here else Reason.CLIENT_UNKNOWN

    def check_assertion(self, client: Client, assertion: Assertion, endpoint: str, now: float) -> None:
        """An assertion of the application is signed by its certificate, any other by whom it trusts."""
        if assertion.claim("iss") == client.client_id:
            check_certificate(client, assertion, endpoint, now)
        else:
            check_federation(client, assertion, now)

    def app_scopes(self, scope: str, tenant: str) -> tuple[str, ...]:
        """Return the scopes of an application's own token, of all that it may do at one resource."""
        resource, _, name = scope.rpartition("/")
        if tenant in SHARED_TENANTS:
            raise Refusal(Reason.NO_TENANT)
        if name != ".default" or " " in scope:
            raise Refusal(Reason.APP_SCOPE, scope=scope)
        if resource not in self._permissions:
            raise Refusal(Reason.RESOURCE_UNKNOWN, resource=resource, tenant=tenant)
        return (scope,)

    def check_tenant(self, client: Client, tenant: str) -> None:
        """Hold a single-tenant client to its own tenant, and others to tenants that exist."""
        if client.tenant is not None and tenant in SHARED_TENANTS:
            raise Refusal(Reason.SINGLE_TENANT, client_id=client.client_id, tenant=tenant)
        if client.tenant is not None and tenant_id(client.tenant) != tenant_id(tenant):
            raise Refusal(Reason.CLIENT_UNKNOWN, client_id=client.client_id, tenant=tenant)
        if client.tenant is None:
            self.check_known(tenant)

    def check_known(self, tenant: str) -> None:
        """Raise ``Refusal`` for a tenant that no registered person belongs to."""
        if tenant not in SHARED_TENANTS and tenant_id(tenant) not in map(user_tenant, self.people()):
            raise Refusal(Reason.TENANT_UNKNOWN, tenant=tenant)

    def check_user(self, user: User, tenant: str, client: Client) -> None:
        """Admit personal accounts to consumers, others to organizations and theirs, and all to common."""
        personal = user_tenant(user) == CONSUMER_TENANT
        admitted = {"common": True, "organizations": not personal, "consumers": personal}
        if user.provider not in (None, self.name):
            raise Refusal(Reason.USER_UNKNOWN, user=user.address)
        if not admitted.get(tenant, user_tenant(user) == tenant_id(tenant)):
            raise Refusal(Reason.USER_ELSEWHERE, user=user.address, tenant=tenant)

    def scopes(self, text: str) -> tuple[str, ...]:
        """Scopes without a resource are Microsoft Graph's."""
        return tuple(dict.fromkeys(self._full_scope(scope) for scope in text.split()))

    def answer_scopes(self, requested: str, granted: tuple[str, ...]) -> tuple[str, ...]:
        """One resource per token request; the answer holds all that was granted at that resource.

        Without a resource in the request the first granted one is taken.
        """
        wanted = [scope for scope in self.scopes(requested) if scope not in IDENTITY_SCOPES]
        resources = {_resource(scope) for scope in wanted}
        if len(resources) > 1:
            raise Refusal(Reason.SCOPE_MIXED, scope=" ".join(wanted))
        for scope in wanted:
            if scope not in granted:
                raise Refusal(Reason.SCOPE_NOT_CONSENTED, scope=scope)
        granted_resources = [_resource(scope) for scope in granted if scope not in IDENTITY_SCOPES]
        resource = next(iter(resources or granted_resources), self.cloud.graph)
        return tuple(scope for scope in granted if self._belongs(scope, resource))

    def audience(self, scopes: tuple[str, ...], client: Client) -> str:
        """The resource is the audience."""
        resources = (_resource(scope) for scope in scopes if scope not in IDENTITY_SCOPES)
        return next(resources, self.cloud.graph)

    def is_offline(self, params: Mapping[str, str], scopes: tuple[str, ...], *, consent_shown: bool) -> bool:
        """A refresh token comes with ``offline_access`` and only with it."""
        return "offline_access" in scopes

    def all_scopes(
        self, params: Mapping[str, str], scopes: tuple[str, ...], known: Grant | None
    ) -> tuple[str, ...]:
        """Earlier consents stay in force."""
        return tuple(dict.fromkeys((*scopes, *(known.scopes if known else ()))))

    def is_optional(self, scope: str) -> bool:
        """Consent is to all or nothing."""
        return False

    def claims(self, user: User, scopes: tuple[str, ...]) -> Json:
        """``email`` and the names depend on their scopes; ``tid`` and ``oid`` tell who it is."""
        tenant = user_tenant(user)
        claims: Json = {
            "iss": f"{self.base_url}/{tenant}/v2.0",
            "tid": tenant,
            "oid": user.subject,
            "sub": opaque(user.subject),
            "ver": "2.0",
        }
        if "profile" in scopes:
            claims |= {"preferred_username": user.address, "name": user.name}
        if "email" in scopes:
            claims["email"] = user.email or user.address
        return claims

    def userinfo(self, user: User, scopes: tuple[str, ...]) -> Json:
        """The same claims."""
        return self.claims(user, scopes)

    def answer_extras(self, user: User | None, params: Mapping[str, str], expires_in: int) -> Json:
        """``client_info`` is what msal derives its account id from."""
        extras: Json = {"ext_expires_in": expires_in}
        if user is not None and params.get("client_info") == "1":
            info = json.dumps({"uid": user.subject, "utid": user_tenant(user)})
            extras["client_info"] = base64.urlsafe_b64encode(info.encode()).decode().rstrip("=")
        return extras

    def callback_extras(self, scopes: tuple[str, ...]) -> list[tuple[str, str]]:
        """The real callback carries a session id that clients ignore."""
        return [("session_state", str(uuid.uuid4()))]

    def metadata(self, tenant: str) -> Json:
        """The issuer of ``common`` is a template, as the real one is."""
        self.check_known(tenant)
        own = tenant if tenant in SHARED_TENANTS else tenant_id(tenant)
        issuer_tenant = "{tenantid}" if own in ("common", "organizations") else tenant_id(own)
        return {
            "issuer": f"{self.base_url}/{issuer_tenant}/v2.0",
            "authorization_endpoint": f"{self.base_url}/{own}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.base_url}/{own}/oauth2/v2.0/token",
            "jwks_uri": f"{self.base_url}/{own}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": list(self.auth_methods),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        }

    def consent_rows(self, scopes: Iterable[str]) -> list[ScopeRow]:
        """The texts go by the permission, whatever its resource."""
        return [
            ScopeRow(scope, self.scope_texts.get(scope.rpartition("/")[2], scope), optional=False)
            for scope in scopes
        ]

    def _full_scope(self, scope: str) -> str:
        if scope in IDENTITY_SCOPES:
            return scope
        full = scope if scope.startswith("https://") else f"{self.cloud.graph}/{scope}"
        if full.rpartition("/")[2] not in self._permissions.get(_resource(full), ()):
            raise Refusal(Reason.SCOPE_UNKNOWN, scope=scope)
        return full

    def _belongs(self, scope: str, resource: str) -> bool:
        # The identity scopes are Graph's: the real service lists them in a Graph token's answer only.
        if scope in IDENTITY_SCOPES:
            return resource in self.cloud.graphs and scope != "offline_access"
        return _resource(scope) == resource

    def new_code(self) -> str:
        """About 800 characters, as the real ones."""
        return "1.AX" + random_text(800)

    def new_access_token(self, token: AccessToken) -> str:
        """For Graph one that can be read, but for personal accounts; else some 2,000 characters.

        That is longer than an SMTP command line and than Postfix's line limit.
        """
        opaque_text = "EwB" + random_text(2000)
        if token.audience not in self.cloud.graphs:
            return opaque_text
        user = next((user for user in self.users() if user.address == token.user), None)
        tenant = user_tenant(user) if user else tenant_id(token.tenant)
        return opaque_text if tenant == CONSUMER_TENANT else work_token(token, tenant, user)

    def new_refresh_token(self) -> str:
        """Some 1,100 characters."""
        return "M.C5_" + random_text(1100)


def tenant_id(tenant: str) -> str:
    """Return the GUID of a tenant: a GUID, ``consumers``, or a domain, from which a GUID is derived."""
    if tenant == "consumers":
        return CONSUMER_TENANT
    try:
        return str(uuid.UUID(tenant))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, tenant.lower()))


def user_tenant(user: User) -> str:
    """Return the GUID of the person's tenant; by default it is that of the address's domain."""
    return tenant_id(user.tenant or user.domain)


def opaque(subject: str) -> str:
    """Return another identifier that is stable for this subject."""
    return base64.urlsafe_b64encode(uuid.uuid5(uuid.NAMESPACE_URL, subject).bytes).decode().rstrip("=")


def _resource(scope: str) -> str:
    return scope.rpartition("/")[0]


def _fill(text: str, details: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: details.get(match[1], "?"), text)
