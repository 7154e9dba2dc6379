"""Verification of ID tokens (OpenID Connect Core, section 3.1.3.7)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ID_TOKEN_INVALID = "id_token_invalid"  # noqa: S105 - a name
"""The code of the diagnosis `invalid`."""
LEEWAY = 120
"""Seconds by which clocks may differ."""


def verify(
    id_token: object,
    *,
    keys: Mapping[str, Any],
    audience: str,
    nonce: str,
    algorithms: Sequence[str] = ("RS256",),
) -> dict[str, Any]:
    """The claims of an ID token whose signature, audience, expiry and nonce are right.

    `keys` is the provider's JWKS. The issuer is left to the caller, because Microsoft's depends on the
    token's own tenant. Raises Diagnosed (class reconnect, code ``id_token_invalid``).
    """
    import jwt

    if not isinstance(id_token, str):
        raise Diagnosed(invalid("there is none"))
    try:
        claims: dict[str, Any] = jwt.decode(
            id_token,
            _key(id_token, keys),
            algorithms=algorithms,
            audience=audience,
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
    except (jwt.PyJWTError, ValueError, KeyError) as error:
        raise Diagnosed(invalid(type(error).__name__)) from error
    if not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
        raise Diagnosed(invalid("its nonce is another one"))
    return claims


def read(id_token: object) -> dict[str, Any]:
    """The claims of an ID token that came straight from the token endpoint, or {} for what is none.

    The endpoint's TLS certificate vouches for them there (OpenID Connect Core, section 3.1.3.7, rule 6). Good
    enough to notice that a refresh was answered for somebody else, and never for who may connect a mailbox.
    """
    import jwt

    if not isinstance(id_token, str):
        return {}
    try:
        return dict(jwt.decode(id_token, options={"verify_signature": False}))
    except (jwt.PyJWTError, ValueError):
        return {}


def invalid(why: str) -> Diagnosis:
    """The diagnosis for an ID token that proves nothing."""
    return Diagnosis(
        DiagnosisClass.RECONNECT,
        ID_TOKEN_INVALID,
        "The provider's statement of who signed in could not be verified.",
        "Open the connect link again and sign in once more.",
        text=why,
    )


def _key(id_token: str, keys: Mapping[str, Any]) -> Any:
    import jwt

    wanted = jwt.get_unverified_header(id_token).get("kid")
    for key in jwt.PyJWKSet.from_dict(dict(keys)).keys:
        if key.key_id == wanted:
            return key.key
    raise KeyError("kid")
