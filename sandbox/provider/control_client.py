"""The control API from Python; it needs nothing of the provider but its URL and the sandbox's CA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import requests

from sandbox.provider.models import TokenRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Json = dict[str, Any]
TIMEOUT_SECONDS = 30


class ControlClient:
    """Calls ``/_control`` of the provider at ``url``; ``cafile`` is the PEM of the CA of its certificate.

    Each method raises ``requests.HTTPError`` when the provider refuses the call, with its reason in the text.
    """

    def __init__(self, url: str, cafile: str | Path) -> None:
        self._url = f"{url}/_control"
        self._session = requests.Session()
        # REQUESTS_CA_BUNDLE in the environment would replace ``verify``.
        self._session.trust_env = False
        self._session.verify = str(cafile)

    def register_client(
        self,
        client_id: str,
        client_secret: str,
        redirect_uris: Sequence[str],
        provider: Literal["microsoft", "google", "openid"],
        **options: Any,
    ) -> Json:
        """Register an OAuth client; options are the other fields of ``control.ClientOrder``."""
        order: Json = {
            "client_id": client_id,
            "client_secret": client_secret,
            "redirect_uris": list(redirect_uris),
            "provider": provider,
        }
        return self._call("POST", "clients", order | options)

    def register_user(self, address: str, **options: str | Sequence[str] | None) -> Json:
        """Register a person; options are the other fields of ``control.UserOrder``."""
        order: Json = {"address": address}
        return self._call("POST", "users", order | options)

    def register_service_account(
        self, key: Mapping[str, str], public_key: str, delegations: Mapping[str, Sequence[str]]
    ) -> Json:
        """Register a service account by its JSON key, and what each domain's administrator allows it."""
        order = {
            "email": key["client_email"],
            "client_id": key["client_id"],
            "key_id": key["private_key_id"],
            "public_key": public_key,
            "delegations": delegations,
        }
        return self._call("POST", "service-accounts", order)

    def set_lifetime(
        self, access: int | None = None, refresh: int | None = None, code: int | None = None
    ) -> Json:
        """Set lifetimes in seconds of what is issued from now on."""
        order = {
            "access_token_lifetime": access,
            "refresh_token_lifetime": refresh,
            "code_lifetime": code,
        }
        return self._call("POST", "settings", order)

    def inject(self, endpoint: str, **fault: object) -> int:
        """Order a fault and return its number; the fields are those of ``sandbox.provider.faults.Fault``."""
        return int(self._call("POST", "faults", {"endpoint": endpoint} | fault)["fault"])

    def faults(self) -> list[Json]:
        """Return the faults that are waiting."""
        return list(self._call("GET", "faults")["faults"])

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._call("DELETE", "faults")

    def revoke(
        self, user: str, client_id: str | None = None, what: Literal["all", "refresh", "access"] = "all"
    ) -> int:
        """Revoke a person's grants and return how many there were; see ``RevokeOrder`` for ``what``."""
        order = {"user": user, "client_id": client_id, "what": what}
        return int(self._call("POST", "revoke", order)["grants"])

    def tokens(self) -> list[Json]:
        """Return what was issued, without values."""
        return list(self._call("GET", "tokens")["tokens"])

    def token_requests(self) -> list[TokenRequest]:
        """Return the log of all token requests, oldest first."""
        return [TokenRequest(**entry) for entry in self._call("GET", "token-requests")["token_requests"]]

    def secrets(self) -> dict[str, list[str]]:
        """Return every secret that the provider has seen, by kind."""
        return dict(self._call("GET", "secrets")["secrets"])

    def introspect(self, token: str) -> Json:
        """Return what an access token is good for: ``active``, and if it is user, aud, scope, expires_at."""
        return self._call("POST", "introspect", {"token": token})

    def reset(self) -> None:
        """Make the provider forget everything."""
        self._call("POST", "reset", {})

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _call(self, method: str, path: str, order: Mapping[str, object] | None = None) -> Json:
        url = f"{self._url}/{path}"
        response = self._session.request(method, url, json=order, timeout=TIMEOUT_SECONDS)
        if not response.ok:
            message = f"{method} {path}: {response.status_code} {response.text}"
            raise requests.HTTPError(message, response=response)
        answer: Json = response.json()
        return answer
