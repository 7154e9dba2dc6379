"""What a provider says of itself: its OpenID configuration, read once to fill in a connector's facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.errors import Diagnosed, InvalidInput
from chalicelib.providers.facts import CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.providers.http import ProviderHttp

WELL_KNOWN = "/.well-known/openid-configuration"
MEMBERS = {
    "issuer": "issuer",
    "authorize": "authorization_endpoint",
    "token": "token_endpoint",
    "jwks": "jwks_uri",
    "revoke": "revocation_endpoint",
    "userinfo": "userinfo_endpoint",
}
"""Fact → its name in the document (OpenID Connect Discovery, section 3; RFC 8414, section 2)."""
NEEDED = ("issuer", "authorize", "token")
METHODS = {
    "client_secret_post": "post",
    "client_secret_basic": "basic",
    "private_key_jwt": "private_key_jwt",
    "none": "none",
}
"""How a client can prove itself, the most usual first."""
MOST_SCOPES = 200
FORBIDDEN = frozenset({"private_address", "port_not_allowed"})
CHECK = "Check the issuer's address, or give the endpoints one by one."


def discover(url: str, http: ProviderHttp) -> dict[str, Any]:
    """What the provider with that issuer says: ``{"facts", "scopes_supported", "client_auth_supported"}``.

    `url` is the issuer, or the address of its document; `facts` are those of a connector (`facts.merged`).
    Raises InvalidInput where there is no such document, or it is that of another issuer.
    """
    issuer = url.strip().removesuffix(WELL_KNOWN).rstrip("/")
    if not CHECKS["issuer"](issuer):
        raise _refused("An issuer is an https address without user name, query and fragment.")
    try:
        document = http.get(f"{issuer}{WELL_KNOWN}").values
    except Diagnosed as refused:
        found = refused.diagnosis
        code = found.code if found.code in FORBIDDEN else "discovery_failed"
        raise _refused(f"The OpenID configuration could not be read: {found.message}", code=code) from refused
    # OpenID Connect Discovery, section 4.3: what it says of itself is where it was found.
    if str(document.get("issuer")).rstrip("/") != issuer:
        raise _refused("The document there is that of another issuer.", code="issuer_mismatch")
    return _facts(document)


def _facts(document: Mapping[str, Any]) -> dict[str, Any]:
    found = {fact: document[name] for fact, name in MEMBERS.items() if document.get(name)}
    missing = [MEMBERS[fact] for fact in NEEDED if fact not in found]
    wrong = [MEMBERS[fact] for fact, value in found.items() if not _is_usable(fact, value)]
    if missing or wrong:
        raise _refused(f"The document has no usable {', '.join(missing or wrong)}.")
    methods = _texts(document, "token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    known = [short for name, short in METHODS.items() if name in methods]
    supported = _texts(document, "scopes_supported")[:MOST_SCOPES]
    return {
        "facts": {
            **found,
            **({"client_auth": known[0]} if known else {}),
            **({"scopes_supported": supported} if supported else {}),
        },
        "scopes_supported": supported,
        "client_auth_supported": known,
    }


def _texts(document: Mapping[str, Any], name: str) -> list[str]:
    value = document.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _is_usable(fact: str, value: object) -> bool:
    return isinstance(value, str) and CHECKS[fact](value)


def _refused(message: str, *, code: str = "discovery_failed") -> InvalidInput:
    return InvalidInput(message, fix=CHECK, field="discovery", code=code)
