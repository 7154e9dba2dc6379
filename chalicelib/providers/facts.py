"""What can be known of a provider, and the checks of what somebody says of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any

from chalicelib.accounts.models.account import AuthMode
from chalicelib.accounts.models.grant import GRAPH, MAIL
from chalicelib.network import are_authorities

ADDRESSES = frozenset(
    {"login", "graph", "authorize", "token", "revoke", "jwks", "userinfo", "issuer", "gmail"}
)
"""Facts that are addresses to which secrets are sent, or by which they are judged."""
CHOICES = {
    "smtp_tls": ("starttls", "implicit"),
    "client_auth": ("post", "basic", "private_key_jwt", "none"),
    "speaks": ("microsoft", "google", "openid"),
}
"""Facts that are one of a few words."""

_ADDRESS = re.compile(r"https://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@\\:\[\]]+)(:[1-9][0-9]{0,4})?(/[^\s?#@\\]*)?")
"""https, and neither user information nor a query or fragment."""
_ENDPOINT = re.compile(_ADDRESS.pattern + r"(\?[^\s#\\]*)?")
"""An endpoint may have a query, which is kept, but no fragment (RFC 6749, sections 3.1 and 3.2)."""
ENDPOINTS = frozenset({"authorize", "token", "revoke", "jwks", "userinfo"})
LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """One provider, or what it is for one connector.

    `speaks` names the module that speaks to it. `login` is Microsoft's login host, from which its endpoints
    follow for each tenant; others name their endpoints one by one, and `authorize_parameters` are sent with
    each authorization request. `client_auth` is how our client proves itself at the token endpoint.
    `scopes` are asked for when the owner consents; without all of `required_scopes` nothing is saved.
    `protocol_scopes` are those to choose from, by protocol, and `protocol_words` what they allow, as owners
    are told; `app_scope` is that of client credentials. `credentials` are the kinds by which our client
    can prove itself.
    `keep_alive` is how many seconds an idle grant is left alone (half of what the provider allows);
    `doubt` how many seconds pass before a refused refresh token is tried a second time.
    `mistaken_for_secret` is a regular expression for what is copied by mistake in the place of a client
    secret; `withdraw` are the pages on which a mailbox owner can take the permission back by hand.
    `extra_ca` (PEM) are authorities that the provider's servers are trusted by, besides the usual ones.
    `graph` and `gmail` are where the mail APIs are. `secret_expires_at` is the day (``2027-01-31``) on
    which the client secret ends, as the administrator states it: no provider tells. `scopes_supported` are
    those that the provider's discovery document names.
    """

    name: str
    label: str
    speaks: str
    auth_modes: tuple[str, ...]
    max_connections: int
    max_recipients: int
    max_size: int
    keep_alive: int
    scopes: tuple[str, ...] = ()
    required_scopes: tuple[str, ...] = ()
    scopes_in_words: tuple[str, ...] = ()
    protocol_scopes: Mapping[str, str] = field(default_factory=dict)
    protocol_words: Mapping[str, str] = field(default_factory=dict)
    credentials: tuple[str, ...] = ("secret", "none")
    app_scope: str = ""
    messages_per_minute: int | None = None
    doubt: int = 300
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_tls: str = "starttls"
    imap_host: str = ""
    imap_port: int = 993
    pop_host: str = ""
    pop_port: int = 995
    mistaken_for_secret: str = ""
    withdraw: tuple[str, ...] = ()
    login: str = ""
    graph: str = ""
    authorize: str = ""
    token: str = ""
    revoke: str = ""
    jwks: str = ""
    userinfo: str = ""
    issuer: str = ""
    client_auth: str = "post"
    authorize_parameters: Mapping[str, str] = field(default_factory=dict)
    extra_ca: str = ""
    gmail: str = ""
    secret_expires_at: str = ""
    scopes_supported: tuple[str, ...] = ()

    def of_resource(self, resource: str) -> tuple[str, ...]:
        """Those of the required scopes that a token of the resource (MAIL, GRAPH) is asked for with."""
        found = tuple(scope for scope in self.required_scopes if self.resource_of(scope) == resource)
        return found or self.required_scopes if resource == MAIL else found

    def resource_of(self, scope: str) -> str:
        """The resource that takes tokens with this scope."""
        return GRAPH if self.graph and scope.startswith(f"{self.graph_resource}/") else MAIL

    @property
    def graph_resource(self) -> str:
        """By which name a token for Graph is asked for: its usual address, wherever `graph` says that it is.

        A connector may ask with the address that it names itself.
        """
        asked = any(scope.startswith(f"{self.graph}/") for scope in self.required_scopes)
        usual = self.protocol_scopes.get("graph", "").rpartition("/")[0]
        return self.graph if asked else usual or self.graph

    @property
    def scopes_to_copy(self) -> str:
        """Every scope that can be asked for, in one string to copy and prune."""
        return " ".join(dict.fromkeys((*self.protocol_scopes.values(), *self.identity_scopes)))

    @property
    def identity_scopes(self) -> tuple[str, ...]:
        """Those of the usual scopes that open no mailbox: they tell who consented."""
        return tuple(scope for scope in self.scopes if scope not in self.required_scopes)

    def app_scope_of(self, resource: str) -> str:
        """The scope with which an application asks for a token of the resource."""
        return f"{self.graph_resource}/.default" if resource == GRAPH else self.app_scope

    def allows(self, mode: AuthMode) -> bool:
        """Whether accounts can prove themselves so."""
        return mode in self.auth_modes


def merged(facts: ProviderFacts, values: Mapping[str, Any]) -> ProviderFacts:
    """The facts with these values, as JSON has them, in the place of the usual ones.

    Raises ValueError that names every value that is not known or cannot be.
    """
    kinds = {each.name: str(each.type) for each in fields(facts) if each.name != "name"}
    if unknown := sorted(set(values) - set(kinds)):
        raise ValueError(f"{facts.name} has no {', '.join(unknown)}")
    if wrong := sorted(name for name, value in values.items() if not _fits(name, kinds[name], value)):
        raise ValueError(f"{facts.name} cannot have this {', '.join(wrong)}")
    return replace(facts, **{name: _frozen(value) for name, value in values.items()})


def _fits(name: str, kind: str, value: Any) -> bool:
    """Whether the JSON value is one for the fact of that name, whose type is written as `kind`."""
    if name in CHOICES:
        return value in CHOICES[name]
    if name in CHECKS:
        return isinstance(value, str) and CHECKS[name](value)
    if kind.startswith("tuple"):
        return isinstance(value, list) and bool(value) and all(_is_text(one) for one in value)
    if kind.startswith("Mapping"):
        return isinstance(value, dict) and all(_is_text(one) for pair in value.items() for one in pair)
    if kind.startswith("int"):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return (whole and value > 0) or (value is None and "None" in kind)
    return _is_text(value)


def is_day(text: str) -> bool:
    """Whether it is a day as ``2027-01-31`` (ISO 8601)."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    return _is_https(_ADDRESS, text)


def _is_endpoint(text: str) -> bool:
    return _is_https(_ENDPOINT, text)


def _is_https(pattern: re.Pattern[str], text: str) -> bool:
    found = pattern.fullmatch(text)
    return found is not None and int((found[2] or ":443")[1:]) <= LAST_PORT


CHECKS: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(ADDRESSES - ENDPOINTS, _is_address),
    **dict.fromkeys(ENDPOINTS, _is_endpoint),
    "extra_ca": are_authorities,
    "secret_expires_at": is_day,
}
"""Facts whose text is looked at more closely."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
