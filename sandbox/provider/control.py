"""The control API: tests arrange the provider with it and look behind the scenes.

JSON in, JSON out, loopback only.

No call answers with the value of a token, a code or a secret, but for `secrets`: with its answer tests search
the places where none may be.
"""

# ruff: noqa: ARG002 - every call takes the request
from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from sandbox.provider.faults import Fault, FaultBook
from sandbox.provider.models import (
    AccessToken,
    Client,
    FederatedCredential,
    RefreshToken,
    ServiceAccount,
    User,
)
from sandbox.provider.store import CODE_LIFETIME_LIMIT, Lifetimes, Store
from sandbox.provider.temperaments import TEMPERAMENTS

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

Json = dict[str, object]
T = TypeVar("T", bound=msgspec.Struct)
READS_MAIL = (
    "/IMAP.AccessAsUser.All",
    "/POP.AccessAsUser.All",
    "https://mail.google.com/",
    "mail:imap",
    "mail:pop",
)
"""How the scopes end with which IMAP or POP3 servers take a token."""
_PRIVATE = frozenset({"value", "client_secret", "app_password"})


class ClientOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Register a client.

    ``temperament`` is the provider's own unless named; ``tenant`` makes the client single-tenant.
    """

    client_id: str
    client_secret: str = ""
    redirect_uris: tuple[str, ...] = ()
    provider: Literal["microsoft", "google", "openid"]
    tenant: str | None = None
    cloud: Literal["global", "us", "cn"] = "global"
    keys: tuple[str, ...] = ()
    federated: tuple[FederatedCredential, ...] = ()
    roles: tuple[str, ...] = ()
    auth_method: Literal["client_secret_post", "client_secret_basic", "private_key_jwt", "none"] | None = None
    pkce: bool = True
    refresh_lifetime: int | None = None
    temperament: str | None = None
    name: str = "Mailgrant"


class UserOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Register a person with a mailbox."""

    address: str
    name: str | None = None
    aliases: tuple[str, ...] = ()
    tenant: str | None = None
    provider: Literal["microsoft", "google", "openid"] | None = None
    email: str | None = None
    app_password: str | None = None


class ServiceAccountOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Register a service account: ``delegations`` name the scopes that a domain's administrator allows."""

    email: str
    client_id: str
    key_id: str
    public_key: str
    delegations: dict[str, tuple[str, ...]] = {}


class SettingsOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Set lifetimes, in seconds, of what is issued from now on; None leaves one as it is."""

    access_token_lifetime: int | None = None
    refresh_token_lifetime: int | None = None
    code_lifetime: int | None = None


class RevokeOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Revoke a person's grants to one client or to all.

    ``what``: ``all`` ends refresh and access tokens, ``refresh`` leaves the access tokens to expire (as
    Microsoft does), ``access`` ends the access tokens only.
    """

    user: str
    client_id: str | None = None
    what: Literal["all", "refresh", "access"] = "all"


class TokenOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Name a token by its value."""

    token: str


class Control:
    """The calls, one method each, over the provider's memory and its faults."""

    def __init__(self, store: Store, faults: FaultBook) -> None:
        self._store = store
        self._faults = faults

    def register_client(self, request: Request) -> Json:
        """Add or replace a client."""
        order = _read(request, ClientOrder)
        temperament = TEMPERAMENTS.get(order.temperament or order.provider)
        if temperament is None:
            raise BadRequest(f"temperament must be one of {', '.join(TEMPERAMENTS)}")
        fields = msgspec.structs.asdict(order) | {"temperament": temperament}
        client = Client(**fields)
        self._store.add_client(client)
        return _public(client)

    def register_user(self, request: Request) -> Json:
        """Add or replace a person."""
        order = _read(request, UserOrder)
        name = order.name or order.address.partition("@")[0].replace(".", " ").title()
        user = User(**msgspec.structs.asdict(order) | {"name": name})
        self._store.add_user(user)
        return _public(user)

    def register_service_account(self, request: Request) -> Json:
        """Add or replace a service account, which is a client too."""
        order = _read(request, ServiceAccountOrder)
        self._store.add_service_account(ServiceAccount(**msgspec.structs.asdict(order)))
        temperament = TEMPERAMENTS["google"]
        client = Client(order.client_id, "", (), "google", temperament, order.email)
        self._store.add_client(client)
        return _public(client)

    def settings(self, request: Request) -> Json:
        """Read (GET) or change the lifetimes."""
        if request.method == "POST":
            order = _read(request, SettingsOrder)
            now = self._store.lifetimes
            self._store.lifetimes = Lifetimes(
                access=_seconds(order.access_token_lifetime, now.access),
                refresh=_seconds(order.refresh_token_lifetime, now.refresh),
                code=min(_seconds(order.code_lifetime, now.code), CODE_LIFETIME_LIMIT),
            )
        lifetimes = self._store.lifetimes
        return {
            "access_token_lifetime": lifetimes.access,
            "refresh_token_lifetime": lifetimes.refresh,
            "code_lifetime": lifetimes.code,
        }

    def faults(self, request: Request) -> Json:
        """Inject a fault (POST), list those that are waiting (GET) or clear them (DELETE)."""
        if request.method == "POST":
            return {"fault": self._faults.add(_read(request, Fault))}
        if request.method == "DELETE":
            self._faults.clear()
        waiting = self._faults.waiting().items()
        listed = [{"fault": n, "left": left} | msgspec.to_builtins(fault) for n, (fault, left) in waiting]
        return {"faults": listed}

    def revoke(self, request: Request) -> Json:
        """End tokens of a person."""
        order = _read(request, RevokeOrder)
        user = self._store.user(order.user)
        grants = self._store.grants_of(user.address if user else order.user, order.client_id)
        for grant in grants:
            if order.what in ("all", "refresh"):
                self._store.end_grant(grant.grant_id)
            if order.what in ("all", "access"):
                self._store.end_access_tokens(grant.grant_id)
        return {"grants": len(grants)}

    def tokens(self, request: Request) -> Json:
        """List what was issued, without values."""
        return {"tokens": [self._describe(token) for token in self._store.tokens()]}

    def token_requests(self, request: Request) -> Json:
        """Return the log of all token requests."""
        return {"token_requests": [dataclasses.asdict(entry) for entry in self._store.token_requests()]}

    def secrets(self, request: Request) -> Json:
        """Return every secret that was issued, registered or presented, by kind; a reset forgets none."""
        return {"secrets": self._store.secrets()}

    def introspect(self, request: Request) -> Json:
        """Say what an access token is good for; in the shape of RFC 7662, from JSON or a form."""
        form = request.form.get("token")
        value = form if form is not None else _read(request, TokenOrder).token
        token = self._store.access_token(value)
        if token is None:
            return _unusable("unknown")
        reason = self._store.why_inactive(token)
        client = self._store.client(token.client_id)
        if reason or client is None:
            return _unusable(reason or "client unknown")
        user = self._store.user(token.user)
        return {
            "active": True,
            "reason": "",
            "user": token.user,
            "username": token.user,
            "aliases": list(user.aliases) if user else [],
            "aud": token.audience,
            "scope": " ".join(token.scopes),
            "roles": list(token.roles),
            "reads_mail": any(scope.endswith(READS_MAIL) for scope in token.scopes),
            "expires_at": token.expires_at,
            "exp": int(token.expires_at),
            "client_id": token.client_id,
            "provider": client.provider,
            "temperament": client.temperament.name,
            "token_type": "Bearer",
        }

    def introspect_password(self, request: Request) -> Json:
        """Say whose app password that is, in the shape of RFC 7662, from JSON or a form."""
        form = request.form.get("token")
        value = form if form is not None else _read(request, TokenOrder).token
        user = next((user for user in self._store.users() if value and user.app_password == value), None)
        if user is None:
            return _unusable("unknown")
        return {"active": True, "reason": "", "user": user.address, "username": user.address}

    def reset(self, request: Request) -> Json:
        """Forget everything: registrations, grants, tokens, faults and the log."""
        self._store.reset()
        self._faults.clear()
        return {}

    def _describe(self, token: AccessToken | RefreshToken) -> Json:
        kind = "access" if isinstance(token, AccessToken) else "refresh"
        return {"kind": kind, "inactive": self._store.why_inactive(token)} | _public(token)


def _read(request: Request, kind: type[T]) -> T:
    # A page in the person's browser cannot send this type across origins without being asked first.
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("send application/json")
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(str(error)) from error


def _unusable(reason: str) -> Json:
    return {"active": False, "reads_mail": False, "reason": reason}


def _public(value: Client | User | AccessToken | RefreshToken) -> Json:
    return {key: item for key, item in dataclasses.asdict(value).items() if key not in _PRIVATE}


def _seconds(ordered: int | None, now: int) -> int:
    if ordered is not None and ordered < 1:
        raise BadRequest("a lifetime is at least 1 second")
    return now if ordered is None else ordered
