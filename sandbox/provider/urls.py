"""The addresses of the provider.

Endpoint names are ``<area>.<endpoint>``: the area is a dialect that is played, a mail API, ``pages`` or
``control``.
"""

from __future__ import annotations

from werkzeug.routing import Map, Rule, RuleFactory, Submount

from sandbox.provider.clouds import CLOUDS
from sandbox.provider.openid import PATH


def _microsoft(area: str) -> list[RuleFactory]:
    return [
        Rule("/<tenant>/oauth2/v2.0/authorize", endpoint=f"{area}.authorize", methods=["GET"]),
        Rule("/<tenant>/oauth2/v2.0/token", endpoint=f"{area}.token", methods=["POST"]),
        Rule("/<tenant>/v2.0/.well-known/openid-configuration", endpoint=f"{area}.discovery"),
        Rule("/<tenant>/discovery/v2.0/keys", endpoint=f"{area}.jwks"),
    ]


URLS = Map(
    [
        *_microsoft("microsoft"),
        *(Submount(cloud.path, _microsoft(f"microsoft{cloud.path}")) for cloud in CLOUDS if cloud.path),
        *(
            Rule(f"{path}/v1.0/users/<mailbox>", endpoint=f"graph{path}.user", methods=["GET"])
            for cloud in CLOUDS
            for path in cloud.graphs.values()
        ),
        Rule("/gmail/v1/users/<mailbox>/profile", endpoint="gmail.profile", methods=["GET"]),
        Rule("/o/oauth2/v2/auth", endpoint="google.authorize", methods=["GET"]),
        Rule("/token", endpoint="google.token", methods=["POST"]),
        Rule("/revoke", endpoint="google.revoke", methods=["POST"]),
        Rule("/v1/userinfo", endpoint="google.userinfo"),
        Rule("/oauth2/v3/certs", endpoint="google.jwks"),
        Rule("/.well-known/openid-configuration", endpoint="google.discovery"),
        Submount(
            PATH,
            [
                Rule("/authorize", endpoint="openid.authorize", methods=["GET"]),
                Rule("/token", endpoint="openid.token", methods=["POST"]),
                Rule("/revoke", endpoint="openid.revoke", methods=["POST"]),
                Rule("/userinfo", endpoint="openid.userinfo"),
                Rule("/jwks", endpoint="openid.jwks"),
                Rule("/.well-known/openid-configuration", endpoint="openid.discovery"),
            ],
        ),
        Rule("/_pages/<interaction_id>/sign-in", endpoint="pages.sign_in", methods=["GET", "POST"]),
        Rule("/_pages/<interaction_id>/consent", endpoint="pages.consent", methods=["GET", "POST"]),
        Submount(
            "/_control",
            [
                Rule("/clients", endpoint="control.register_client", methods=["POST"]),
                Rule("/users", endpoint="control.register_user", methods=["POST"]),
                Rule("/service-accounts", endpoint="control.register_service_account", methods=["POST"]),
                Rule("/settings", endpoint="control.settings", methods=["GET", "POST"]),
                Rule("/faults", endpoint="control.faults", methods=["GET", "POST", "DELETE"]),
                Rule("/revoke", endpoint="control.revoke", methods=["POST"]),
                Rule("/tokens", endpoint="control.tokens", methods=["GET"]),
                Rule("/token-requests", endpoint="control.token_requests", methods=["GET"]),
                Rule("/secrets", endpoint="control.secrets", methods=["GET"]),
                Rule("/introspect", endpoint="control.introspect", methods=["POST"]),
                Rule("/introspect-password", endpoint="control.introspect_password", methods=["POST"]),
                Rule("/reset", endpoint="control.reset", methods=["POST"]),
            ],
        ),
    ]
)
