"""Microsoft's access tokens for Graph: JWTs that show what they are for, and may do.

The claims are those of version 1.0; see
https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference. Tokens of personal accounts
are opaque. Nobody but Graph can check the signature of a real one, since its nonce is hashed first; here not
even Graph does, because it knows each token by its text.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

from sandbox.provider.dialect import Json, random_text
from sandbox.provider.permissions import ROLES_OF_GRAPH

if TYPE_CHECKING:
    from sandbox.provider.models import AccessToken, User

SIGNATURE_BYTES = 256
"""That of RS256 with a key of 2048 bits."""


def work_token(token: AccessToken, tenant: str, user: User | None) -> str:
    """Write a token for people of a tenant, or without a ``user`` for an application that acts by itself.

    ``tenant`` is a GUID; the text of ``token`` itself is left out of account.
    """
    header: Json = {"typ": "JWT", "nonce": random_text(43), "alg": "RS256"}
    claims: Json = {
        "aud": token.audience,
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": int(token.issued_at),
        "nbf": int(token.issued_at),
        "exp": int(token.expires_at),
        "appid": token.client_id,
        "tid": tenant,
        "ver": "1.0",
        **(_of_application(token) if user is None else _of_person(token, user)),
    }
    return f"{_encoded(header)}.{_encoded(claims)}.{secrets.token_urlsafe(SIGNATURE_BYTES)}"


def _of_application(token: AccessToken) -> Json:
    roles = [role for role in token.roles if role in ROLES_OF_GRAPH]
    return {"idtyp": "app", **({"roles": roles} if roles else {})}


def _of_person(token: AccessToken, user: User) -> Json:
    scopes = " ".join(scope.rpartition("/")[2] for scope in token.scopes)
    return {"idtyp": "user", "scp": scopes, "oid": user.subject, "upn": user.address, "name": user.name}


def _encoded(part: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
